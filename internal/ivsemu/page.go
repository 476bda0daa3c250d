package ivsemu

import (
	"html/template"
	"net/http"
	"strings"
)

var startPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Not Amazon IVS: Stagedoor's emulator</title>
<h1>This is not Amazon IVS</h1>
<p>It is Stagedoor's emulator of the Amazon IVS real-time API, for development and tests. Nothing here reaches AWS.</p>
<dl>
<dt>API endpoint <dd><code>{{.API}}</code>, for example <code>AWS_ENDPOINT_URL_IVS_REALTIME={{.API}}</code>
<dt>WHIP endpoint (global, redirects to the stage) <dd><code>{{.WHIP}}</code>
<dt>Credentials <dd>{{if .Any}}any, from this computer only{{else}}the key pair that was printed at the start{{end}}
<dt>Rates of AWS kept <dd>{{.Quotas}}
<dt>Stages with these names fail on purpose <dd><code>{{.Faults}}</code>
<dt>Not there <dd>{{.Missing}}
</dl>
`))

// page serves an HTML page for people who open the emulator's address.
func (e *Emulator) page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	err := startPage.Execute(w, map[string]any{
		"API": e.cfg.BaseURL, "WHIP": e.WHIPEndpoint(), "Any": e.cfg.AnyCredentials,
		"Quotas": e.cfg.Quotas,
		"Faults": strings.Join(faultNames(), ", "), "Missing": strings.Join(elsewhere(), ", "),
	})
	if err != nil {
		e.cfg.Log.Debug("page", "err", err)
	}
}
