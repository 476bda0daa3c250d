package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzBodies checks the contract of `decode`. It never panics. Its errors are problems with a 4xx
// status, a code and a sentence. The response never contains the password in the body.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"code":"c","name":"ana","password":"correct horse battery"}`, `{"name":7}`, `{"name":{"a":[]}}`, `[]`, `null`, ``, `{`, `{}{}`,
		`{"password":"hunter2hunter2","passwort":"x"}`, "\xff\xfe", `{"name":"\ud800"}`, strings.Repeat(`{"a":`, 500),
	} {
		f.Add("application/json", seed)
	}
	f.Add("text/plain", `{}`)
	f.Add("application/json; charset=utf-8", `{"name":"ana"}`)
	f.Add(`application/json; charset="`, `{"name":"ana"}`)
	a := &adapter{log: quiet()}
	f.Fuzz(func(t *testing.T, kind, body string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/api/setup", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		in, err := decode[SetUp](r)
		if err == nil {
			if again, err := json.Marshal(in); err != nil || !json.Valid(again) {
				t.Errorf("what was read cannot be written: %v", err)
			}
			return
		}
		a.fail(w, r, err)
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status < 400 ||
			p.Status > 499 || p.Code == "" || p.Detail == "" || w.Code != p.Status {
			t.Errorf("body %q: got %d %s, want a problem with a status of 4xx",
				body, w.Code, w.Body)
		}
		if secret := passwordIn(body); secret != "" && strings.Contains(w.Body.String(), secret) {
			t.Errorf("body %q: the answer repeats the password: %s", body, w.Body)
		}
	})
}

func passwordIn(body string) string {
	_, rest, _ := strings.Cut(body, `"password":"`)
	secret, _, _ := strings.Cut(rest, `"`)
	if len(secret) < 8 {
		return ""
	}
	return secret
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
