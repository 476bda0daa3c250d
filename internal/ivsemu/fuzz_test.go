package ivsemu_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// FuzzAPI sends any body to any path. No response may be an internal error, and a response in JSON
// must be valid.
func FuzzAPI(f *testing.F) {
	e, err := ivsemu.New(ivsemu.Config{BaseURL: "http://127.0.0.1:4566", AnyCredentials: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/CreateStage", `{"name":"a","tags":{"k":"v"}}`)
	f.Add("POST", "/CreateParticipantToken", `{"stageArn":"arn:aws:ivs:us-west-2:123456789012:stage/abc","duration":15,"capabilities":["PUBLISH"]}`)
	f.Add("POST", "/ImportPublicKey", `{"publicKeyMaterial":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}`)
	f.Add("POST", "/ListParticipants", `{"stageArn":null,"sessionId":3,"nextToken":"AAAA"}`)
	f.Add("GET", "/tags/arn%3Aaws%3Aivs%3Aus-west-2%3A123456789012%3Astage%2Fabc", "")
	f.Add("DELETE", "/tags/%zz?tagKeys=%", "")
	f.Add("POST", "/whip/s/abc/layers", "{}")
	f.Add("OPTIONS", "/x/whip/publish/y", "")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		parsed, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") {
			return // no HTTP server would accept this request
		}
		r := &http.Request{
			Method: method, URL: parsed, RequestURI: target, Host: "127.0.0.1:4566",
			RemoteAddr: "127.0.0.1:5000",
			Header:     http.Header{}, ContentLength: int64(len(body)), Body: http.NoBody,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}
		r = r.WithContext(t.Context())
		r.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %s %s: got 500, want no internal error: %s", method, target, body, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && w.Body.Len() > 0 &&
			!json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: got what is no JSON: %s", method, target, w.Body)
		}
	})
}

// FuzzSignature sends any Authorization header. Each one is refused, because the fuzzer does not
// know the secret key. The clock stands still, so that the first seed is refused only for its
// signature.
func FuzzSignature(f *testing.F) {
	e, err := ivsemu.New(ivsemu.Config{
		BaseURL: "http://127.0.0.1:4566", AccessKey: "AKID", SecretKey: stage.NewSecret("s"),
		Now: func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20261122/us-west-2/ivs/aws4_request, "+
		"SignedHeaders=host;x-amz-date, Signature=00ff", "20261122T000000Z", "a=b&c")
	f.Add("AWS4-HMAC-SHA256 ,,,=", "", "%")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest(http.MethodPost, "/ListStages", strings.NewReader("{}"))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%q: got %d, want 403", authorization, w.Code)
		}
	})
}
