"""What makes an export stop, told in one line that names the file and the way out."""


class ExportError(RuntimeError):
    """The source cannot become a bundle."""
