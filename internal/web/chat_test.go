package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// with returns a client without a login that sends a bearer token.
func with(a *apptest.App, secret string) *apptest.Client {
	c := a.Browser()
	c.Key = secret
	return c
}

func chatOf(c *apptest.Client) string {
	return "/api/stages/" + url.PathEscape(c.MainStage()) + "/chat"
}

// stageEvents opens the event stream of a stage with the bearer token or the cookies of the client
// c.
func stageEvents(t *testing.T, a *apptest.App, c *apptest.Client, arn string) *frames {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET",
		a.URL+"/api/stages/"+url.PathEscape(arn)+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := (&http.Client{Jar: c.HTTP.Jar}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the stage's events: got %s, want 200", answer.Status)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return &frames{t, bufio.NewScanner(answer.Body)}
}

type frames struct {
	t     *testing.T
	lines *bufio.Scanner
}

// await reads until an event has a certain name and the given function accepts it. It panics after
// 20 seconds.
func await[T any](f *frames, name string, fits func(T) bool) T {
	f.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { panic("no event " + name + " that fits") })
	defer late.Stop()
	event := ""
	for f.lines.Scan() {
		line := f.lines.Text()
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			event = rest
		}
		var v T
		if data, ok := strings.CutPrefix(line, "data: "); ok && event == name &&
			json.Unmarshal([]byte(data), &v) == nil && fits(v) {
			return v
		}
	}
	f.t.Fatalf("the stream ended while waiting for %q", name)
	panic("unreachable")
}

func anything[T any](T) bool { return true }

func TestAGuestWithATokenAloneChats(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	gus := a.Broadcaster(olga, "gus", "subscribe")
	guest := with(a, gus.Token("view").Token)
	arn, chat := ana.MainStage(), chatOf(ana)

	t.Log("the guest reads and writes with the token")
	hears := stageEvents(t, a, guest, arn)
	if h := await(hears, "chat", anything[web.ChatHistory]); !h.Posts || h.Moderates {
		t.Errorf("the guest: got %+v, want to post and not to moderate", h)
	}
	var hello web.ChatMessage
	guest.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: "  hello\u202e\x07 "}, &hello)
	if hello.Text != "hello" || hello.Name != "gus" {
		t.Errorf("the message: got %+v, want the cleaned text by gus", hello)
	}
	await(hears, "message", func(m web.ChatMessage) bool { return m.ID == hello.ID })

	t.Log("invalid messages, other stages and made-up tokens are refused with a sentence")
	guest.Refused(http.StatusBadRequest, "invalid", "POST", chat, web.NewMessage{Text: " \n "})
	guest.Refused(http.StatusBadRequest, "invalid", "POST", chat,
		web.NewMessage{Text: strings.Repeat("é", 501)})
	var other web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "other"}, &other)
	guest.Refused(http.StatusForbidden, "no_grant", "POST",
		"/api/stages/"+url.PathEscape(string(other.ARN))+"/chat", web.NewMessage{Text: "hi"})
	with(a, "a.b.c").Refused(http.StatusUnauthorized, "token_malformed", "POST", chat,
		web.NewMessage{Text: "hi"})
	a.Browser().Refused(http.StatusUnauthorized, "unauthorized", "POST", chat,
		web.NewMessage{Text: "hi"})

	t.Log("a guest neither deletes nor mutes others")
	var welcome web.ChatMessage
	ana.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: "welcome"}, &welcome)
	guest.Refused(http.StatusForbidden, "no_moderator", "DELETE", chat+"/"+welcome.ID, nil)
	guest.Refused(http.StatusForbidden, "no_moderator", "PUT", chat+"/muted/"+welcome.UserID, nil)

	t.Log("a host mutes the guest, whatever token the guest has, and unmutes; nobody mutes the " +
		"operator")
	ana.Must(http.StatusNoContent, "PUT", chat+"/muted/"+hello.UserID, nil, nil)
	await(hears, "chat", func(h web.ChatHistory) bool { return !h.Posts })
	with(a, gus.Token("view").Token).Refused(http.StatusForbidden, "muted", "POST", chat,
		web.NewMessage{Text: "hi"})
	if h := await(stageEvents(t, a, ana, arn), "chat",
		anything[web.ChatHistory]); len(h.Muted) != 1 || h.Muted[0].Name != "gus" {
		t.Errorf("the muted users that ana sees: got %+v, want gus", h.Muted)
	}
	ana.Must(http.StatusNoContent, "DELETE", chat+"/muted/"+hello.UserID, nil, nil)
	await(hears, "chat", func(h web.ChatHistory) bool { return h.Posts })
	ana.Refused(http.StatusForbidden, "cannot_mute_operator", "PUT",
		chat+"/muted/"+string(olga.Me().ID), nil)

	t.Log("the guest deletes his message; a second time it is not found")
	guest.Must(http.StatusNoContent, "DELETE", chat+"/"+hello.ID, nil, nil)
	await(hears, "removed", func(r web.ChatRemoved) bool { return r.ID == hello.ID })
	guest.Refused(http.StatusNotFound, "not_found", "DELETE", chat+"/"+hello.ID, nil)
}

func TestTheChatHasARateLimit(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana, ben := a.Broadcaster(olga, "ana", "publish"), a.Broadcaster(olga, "ben", "subscribe")
	chat := chatOf(olga)
	for i := range 5 {
		ana.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: fmt.Sprint("message ", i)},
			nil)
	}
	_, h, _ := ana.Do("POST", chat, web.NewMessage{Text: "one more"})
	if h.Get("Retry-After") != "2" {
		t.Errorf("Retry-After: got %q, want 2", h.Get("Retry-After"))
	}
	ana.Refused(http.StatusTooManyRequests, "too_many_messages", "POST", chat,
		web.NewMessage{Text: "one more"})
	ben.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: "I have time"}, nil)
}

func TestAStreamEndsWithWhatOpenedIt(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	arn := ana.MainStage()
	var made web.CreatedView
	ana.Must(http.StatusCreated, "POST", "/api/views",
		map[string]string{"stage": arn, "view": "grid"}, &made)
	address, err := url.Parse(made.URL)
	if err != nil {
		t.Fatal(err)
	}

	t.Log("a viewing key can read, but not write")
	source := with(a, address.Fragment)
	sees := stageEvents(t, a, source, arn)
	await(sees, "presence", anything[web.PresenceEvent])
	source.Refused(http.StatusForbidden, "view_only", "POST", chatOf(ana),
		web.NewMessage{Text: "hi"})
	source.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	source.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/tokens",
		web.TokenRequest{})

	t.Log("the token of the viewing key subscribes, and nothing else")
	var token web.ViewToken
	source.Must(http.StatusCreated, "POST", "/api/views/token", nil, &token)
	if strings.Join(token.Capabilities, ",") != "subscribe" || token.View != "grid" ||
		string(token.Stage) != arn {
		t.Errorf("the token of the source: got %+v, want one that only subscribes to the grid",
			token)
	}

	t.Log("when the key is revoked, its streams end, and the key and its token are refused")
	seesByToken := stageEvents(t, a, with(a, token.Token.Token), arn)
	ana.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
	await(sees, "bye", func(b web.Bye) bool { return b.Reason == "signed_out" })
	await(seesByToken, "bye", func(b web.Bye) bool { return b.Reason == "signed_out" })
	with(a, token.Token.Token).Refused(http.StatusForbidden, "token_revoked", "POST", chatOf(ana),
		web.NewMessage{Text: "hi"})
	source.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/views/token", nil)

	t.Log("a login that lost its grant is not at the stage any more")
	hers := stageEvents(t, a, ana, arn)
	await(hers, "chat", anything[web.ChatHistory])
	olga.Must(http.StatusNoContent, "DELETE",
		"/api/users/"+string(ana.Me().ID)+"/grants/"+url.PathEscape(arn), nil, nil)
	await(hers, "bye", anything[web.Bye])
}

func TestPagesOfAnotherOriginComeWithATokenAlone(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--allow-origins", "https://app.example")
	olga := a.Operator()
	chat := chatOf(olga)
	post := func(origin, bearer string) *http.Response {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), "POST", a.URL+chat, strings.NewReader(`{"text":"hello"}`))
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Content-Type", "application/json")
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		answer, err := olga.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	token := olga.Token("view").Token
	if got := post("https://app.example", token); got.StatusCode != http.StatusCreated ||
		got.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("a page of an allowed origin: got %s, %v, want 201 with the origin",
			got.Status, got.Header)
	}
	if got := post("https://evil.example", token); got.StatusCode != http.StatusForbidden ||
		got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page of another origin: got %s, %v, want 403", got.Status, got.Header)
	}
	if got := post("https://app.example", ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the team's page with olga's cookie: got %s, want 401, as without a cookie",
			got.Status)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "OPTIONS", a.URL+chat, nil)
	r.Header.Set("Origin", "https://app.example")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent ||
		!strings.Contains(answer.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("the preflight request: got %s, %v, want 204 that allows Authorization",
			answer.Status, answer.Header)
	}
}

func TestAViewingKeyTakesNoPartInTheChat(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	arn, chat := olga.MainStage(), chatOf(olga)
	var said web.ChatMessage
	olga.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: "for people"}, &said)

	var made web.CreatedView
	olga.Must(http.StatusCreated, "POST", "/api/views",
		map[string]string{"stage": arn, "view": "grid"}, &made)
	address, _ := url.Parse(made.URL)
	key := with(a, address.Fragment)
	var token web.ViewToken
	key.Must(http.StatusCreated, "POST", "/api/views/token", nil, &token)
	sources := map[string]*apptest.Client{"key": key, "token": with(a, token.Token.Token)}
	hears := map[string]*frames{}
	for what, source := range sources {
		t.Log("the " + what + " of an operator's source neither writes nor deletes nor mutes, " +
			"not even what is hers")
		source.Refused(http.StatusForbidden, "view_only", "POST", chat, web.NewMessage{Text: "hi"})
		source.Refused(http.StatusForbidden, "view_only", "DELETE", chat+"/"+said.ID, nil)
		source.Refused(http.StatusForbidden, "view_only", "PUT", chat+"/muted/somebody", nil)
		source.Refused(http.StatusForbidden, "view_only", "DELETE", chat+"/muted/somebody", nil)
		hears[what] = stageEvents(t, a, source, arn)
		await(hears[what], "presence", anything[web.PresenceEvent])
	}

	t.Log("the source reads who is there, but not the chat")
	olga.Must(http.StatusCreated, "POST", chat, web.NewMessage{Text: "not for sources"}, &said)
	olga.Must(http.StatusNoContent, "PUT",
		chat+"/muted/"+string(a.Broadcaster(olga, "ana", "subscribe").Me().ID), nil, nil)
	olga.Must(http.StatusNoContent, "DELETE", chat+"/"+said.ID, nil, nil)
	olga.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
	for what, f := range hears {
		for _, name := range f.untilBye() {
			if name != "presence" {
				t.Errorf("the %s was told %q", what, name)
			}
		}
	}
}

// untilBye reads the stream until the event "bye", and returns the names of the events before it.
func (f *frames) untilBye() (names []string) {
	f.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { panic("no farewell") })
	defer late.Stop()
	for f.lines.Scan() {
		name, ok := strings.CutPrefix(f.lines.Text(), "event: ")
		if ok && name == "bye" {
			return names
		}
		if ok {
			names = append(names, name)
		}
	}
	f.t.Fatal("the stream ended without a farewell")
	return nil
}
