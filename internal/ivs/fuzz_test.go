package ivs_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// FuzzWebhook posts any body with the right secret. The webhook accepts the body as an event or
// refuses it, and never panics.
func FuzzWebhook(f *testing.F) {
	hook := served(service(f, "http://127.0.0.1:1", nil).Webhook(stage.NewSecret("hush")))
	f.Add(`{"id":"1","detail-type":"IVS Stage Update","source":"aws.ivs","resources":["arn:aws:ivs:us-west-2:123456789012:stage/a"],"detail":{"event_name":"Participant Publish Error","event_time":"2025-04-23T06:36:53Z","participant_id":"p","error_code":"B_FRAME_PRESENT"}}`)
	f.Add(`{"resources":[""],"detail":null}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/api/aws/events", strings.NewReader(body))
		r.Header.Set("X-Stagedoor-Secret", "hush")
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		if w.Code != http.StatusNoContent && w.Code != http.StatusBadRequest {
			t.Errorf("%q: got %d, want 204 or 400", body, w.Code)
		}
	})
}
