{{- define "millrace.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "millrace.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
