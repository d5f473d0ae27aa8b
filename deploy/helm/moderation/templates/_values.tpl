{{/* Settings that follow from other values; those of .Values.settings win. */}}
{{- define "moderation.settings" -}}
{{- if .Values.tls.secret }}
MODERATION_TLS__CERTIFICATE_FILE: /tls/tls.crt
MODERATION_TLS__KEY_FILE: /tls/tls.key
{{- end }}
{{- if .Values.tls.clientCaSecret }}
MODERATION_TLS__CLIENT_CERTIFICATES: require
MODERATION_TLS__CLIENT_CA_FILE: /tls/ca.crt
{{- end }}
{{- if .Values.identity.secret }}
MODERATION_IDENTITY__KEYS_FILE: /identity/keys.yaml
{{- end }}
{{- if .Values.fetch.awsSecret }}
AWS_SHARED_CREDENTIALS_FILE: /aws/credentials
{{- end }}
{{- if .Values.fetch.gsSecret }}
MODERATION_FETCH__GS_CREDENTIALS_FILE: /gs/key.json
{{- end }}
{{- if .Values.bundle.claim }}
MODERATION_ENCODER__BUNDLE: {{ .Values.bundle.path | quote }}
{{- end }}
{{- if include "moderation.policies" . }}
MODERATION_POLICIES__DIRECTORY: /policies
{{- end }}
{{- if .Values.policyPackage.url }}
MODERATION_PACKAGE__SOURCE: {{ .Values.policyPackage.url | quote }}
MODERATION_PACKAGE__PUBLIC_KEYS: /package/keys.pub
{{- if .Values.policyPackage.tokenSecret }}
MODERATION_PACKAGE__TOKEN_FILE: /package-token/token
{{- end }}
{{- if .Values.policyPackage.minSerial }}
MODERATION_PACKAGE__MIN_SERIAL: {{ .Values.policyPackage.minSerial | int64 | quote }}
{{- end }}
{{- end }}
{{- if .Values.decisionLog.size }}
MODERATION_DECISION_LOG__DIRECTORY: /decisions/log
{{- if .Values.decisionLog.keySecret }}
MODERATION_DECISION_LOG__ENCRYPTION_KEY_FILE: /decisions-key/key
{{- end }}
{{- end }}
{{- if .Values.gpu.enabled }}
MODERATION_ENCODER__DEVICE: cuda
{{- end }}
{{- if .Values.tracing.endpoint }}
MODERATION_TRACING__ENDPOINT: {{ .Values.tracing.endpoint | quote }}
MODERATION_TRACING__SAMPLE_RATIO: {{ .Values.tracing.sampleRatio | quote }}
{{- end }}
{{- if gt (int .Values.workers) 1 }}
MODERATION_SERVER__WORKERS: {{ .Values.workers | quote }}
{{- end }}
{{- end }}

{{/* Contradictions that the schema cannot name. */}}
{{- define "moderation.refuse" -}}
{{- with .Values }}
{{- if and .policies .policyPackage.url }}
{{- fail "policies and policyPackage.url are both set: policies come from one place" }}
{{- end }}
{{- if and .policiesConfigMap .policyPackage.url }}
{{- fail "policiesConfigMap and policyPackage.url are both set: policies come from one place" }}
{{- end }}
{{- if and .policies .policiesConfigMap }}
{{- fail "policies and policiesConfigMap are both set: policies come from one place" }}
{{- end }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- fail (printf "autoscaling.minReplicas (%d) is above autoscaling.maxReplicas (%d)" (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- end }}
{{- end }}
{{- end }}
