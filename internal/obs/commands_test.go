package obs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestStatusSaysWhoseLimits: with a key, the status uses the limits of the stage. Without a key, or
// while the server cannot be reached, it uses those of IVS.
func TestStatusSaysWhoseLimits(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"stages":[{"arn":"a","name":"main","capabilities":["publish"],"limits":{"maxHeight":1080,"advisedBitrate":6000000,"maxBitrate":9000000,"maxKeyframeInterval":2}}]}`)
	}))
	defer server.Close()
	o := fakeobs.Start(t, fakeobs.Options{
		Params: map[string]string{"SimpleOutput/VBitrate": "6000"}})
	status := func(url, key string) string {
		var out bytes.Buffer
		cmd := &obs.Commands{OBS: options(o.URL(), ""), Server: url, Key: stage.NewSecret(key),
			HTTP: http.DefaultClient, Now: time.Now, Out: &out}
		if err := cmd.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := status(server.URL, "sdk_x"); strings.Contains(got, "2500") ||
		strings.Contains(got, "IVS") {
		t.Errorf("with a key: got %s, want no word of the limits of IVS", got)
	}
	if got := status(server.URL, ""); !strings.Contains(got, "The video bitrate becomes 2500") ||
		!strings.Contains(got, "Compared with the limits of Amazon IVS") {
		t.Errorf("without a key: got %s, want the limits of IVS", got)
	}
	if got := status("http://127.0.0.1:1", "sdk_x"); !strings.Contains(got,
		"The limits of the stage are not known: Stagedoor is not reachable") ||
		!strings.Contains(got, "Amazon IVS") {
		t.Errorf("without the server of the key: got %s, want the limits of Amazon IVS", got)
	}
}

// TestFailuresAreOneSentence: a failure is printed as one sentence for people and, with --json, as
// one JSON object for scripts.
func TestFailuresAreOneSentence(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<h1>It works</h1>")
	}))
	defer web.Close()
	chatty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r,
			&websocket.AcceptOptions{Subprotocols: []string{"obswebsocket.json"}}); err == nil {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte("hello?"))
			_, _, _ = conn.Read(r.Context())
		}
	}))
	defer chatty.Close()
	ssh, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ssh.Close()
	go func() {
		if conn, err := ssh.Accept(); err == nil {
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			_ = conn.Close()
		}
	}()
	for url, want := range map[string]string{
		"ws://127.0.0.1:1":                                     "obs_unreachable",
		"ws://no such host":                                    "obs_unreachable",
		strings.Replace(web.URL, "http", "ws", 1):              "not_obs",
		strings.Replace(chatty.URL, "http", "ws", 1):           "not_obs",
		"ws://" + ssh.Addr().String():                          "not_obs",
		fakeobs.Start(t, fakeobs.Options{Password: "x"}).URL(): "obs_password",
	} {
		var out bytes.Buffer
		cmd := &obs.Commands{OBS: options(url, ""), JSON: true, Out: &out}
		err := cmd.Stop(t.Context())
		mustBe(t, err, want)
		var told struct{ Error struct{ Code, Detail string } }
		if json.Unmarshal(out.Bytes(), &told) != nil || told.Error.Code != want || err == nil ||
			told.Error.Detail != err.Error() {
			t.Errorf("%s: wrote %s and returned %v", want, out.String(), err)
		}
		for _, leak := range []string{"dial", "refused:", "failed to", "EOF", "\n",
			"invalid character"} {
			if err != nil && strings.Contains(err.Error(), leak) {
				t.Errorf("%s: got %q, want a sentence for people", want, err)
			}
		}
	}
}

// TestBothFailuresAreTold: if the undo failed, too, both failures are reported.
func TestBothFailuresAreTold(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"stages":[{"arn":"a","name":"main","capabilities":["publish"],"limits":{"maxHeight":720,"advisedBitrate":2500000,"maxBitrate":8500000,"maxKeyframeInterval":2}}]}`)
			return
		}
		o.Crash()
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"code":"too_many_tokens","detail":"30 tokens in 10 minutes is the limit."}`)
	}))
	defer server.Close()
	cmd := &obs.Commands{OBS: options(o.URL(), ""), Server: server.URL,
		Key: stage.NewSecret("sdk_x"), HTTP: http.DefaultClient, Now: time.Now, Out: io.Discard}
	err := cmd.SetUp(t.Context(), false)
	mustBe(t, err, "too_many_tokens")
	want := "30 tokens in 10 minutes is the limit. Not everything could be put back: look at " +
		"the profile in OBS’s menu Profile"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
