{{- define "moderation.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{- define "moderation.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "moderation.labels" -}}
{{ include "moderation.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "moderation.policies" -}}
{{- if .Values.policiesConfigMap }}{{ .Values.policiesConfigMap }}{{ else if .Values.policies }}{{ include "moderation.name" . }}-policies{{ end -}}
{{- end }}

{{- define "moderation.kind" -}}
{{- if .Values.decisionLog.size }}StatefulSet{{ else }}Deployment{{ end -}}
{{- end }}
