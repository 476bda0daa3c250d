package obs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	makequick "github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A jsonFact is a fact in the form of testdata/broadcast.json and of the pages.
type jsonFact struct {
	Kind         string     `json:"kind"`
	Now          int64      `json:"now,omitempty"`
	Turn         *int       `json:"turn,omitempty"`
	Stage        string     `json:"stage,omitempty"`
	State        string     `json:"state,omitempty"`
	Event        *toldWord  `json:"event,omitempty"`
	Online       bool       `json:"online"`
	Active       bool       `json:"active"`
	Reconnecting bool       `json:"reconnecting"`
	WHIP         bool       `json:"whip"`
	Mine         *toldAbout `json:"mine"`
	Reusable     bool       `json:"reusable"`
	About        *toldAbout `json:"about,omitempty"`
	Kept         bool       `json:"kept"`
	Running      bool       `json:"running"`
	Reason       *toldWhy   `json:"reason,omitempty"`
	Sending      *bool      `json:"sending,omitempty"`
}

type toldWord struct {
	Kind   string `json:"kind"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	ByRole string `json:"byRole"`
}

type toldAbout struct {
	Participant string `json:"participantId"`
	ExpiresAt   int64  `json:"expiresAt"`
	RenewAt     int64  `json:"renewAt"`
	Stage       string `json:"stage,omitempty"`
}

type toldWhy struct {
	Text string `json:"text"`
}

func (a *toldAbout) about() *about {
	if a == nil {
		return nil
	}
	return &about{stage.ParticipantID(a.Participant), a.ExpiresAt, a.RenewAt, a.Stage}
}

func (f jsonFact) fact() fact {
	g := fact{
		kind: f.Kind, now: f.Now, stage: f.Stage, state: f.State, online: f.Online,
		active: f.Active, reconnecting: f.Reconnecting,
		whip: f.WHIP, mine: f.Mine.about(), reusable: f.Reusable, about: f.About.about(),
		kept: f.Kept, running: f.Running, sending: f.Sending,
	}
	if f.Turn != nil {
		g.turn = *f.Turn
	}
	if f.Event != nil {
		g.event = &word{f.Event.Kind, f.Event.Code, f.Event.Detail, f.Event.ByRole}
	}
	if f.Reason != nil {
		g.reason = &reason{text: f.Reason.Text}
	}
	return g
}

// answers are the kinds of facts that answer an effect. They carry the effect's turn.
var answers = []string{"status", "service", "token", "put", "stopSent", "timeout", "failed",
	"refreshed"}

// TestBroadcastStories runs the stories of testdata/broadcast.json, which the dock's machine must
// pass, too (static/jstest/broadcast.test.js).
func TestBroadcastStories(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/broadcast.json")
	if err != nil {
		t.Fatal(err)
	}
	var stories []struct {
		Name       string
		Unattended bool
		Steps      [][3]json.RawMessage // the fact, the state after it, the effects
		Reason     string
	}
	if err := json.Unmarshal(text, &stories); err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			s := firstState()
			s.unattended = story.Unattended
			for i, line := range story.Steps {
				f, place, want := parse[jsonFact](t, line[0]), parse[string](t, line[1]),
					parse[[]string](t, line[2])
				if slices.Contains(answers, f.Kind) {
					f.Turn = &s.turn
				}
				var effects []effect
				s, effects = step(s, f.fact())
				got := []string{}
				for _, e := range effects {
					got = append(got, strings.TrimSuffix(e.do+" "+e.wait, " "))
				}
				if s.at != place || !slices.Equal(got, want) {
					t.Fatalf("step %d, %s: got %s %q, want %s %q", i+1, line[0], s.at, got, place,
						want)
				}
			}
			text := ""
			if s.reason != nil {
				text = s.reason.text
				if s.reason.detail != "" {
					text = s.reason.detail
				}
			}
			if text != story.Reason {
				t.Errorf("got the reason %q, want %q", text, story.Reason)
			}
		})
	}
}

func parse[T any](t *testing.T, text json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMachinesAlike gives the same random facts to the state machines of the terminal and of the
// dock. After each fact their states and effects have to be equal.
func TestMachinesAlike(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	var input bytes.Buffer
	var want [][]string
	seen := map[string]bool{}
	count := makequick.Few(500)
	for range count {
		s := firstState()
		s.unattended = random.IntN(2) == 0
		line := struct {
			Unattended bool       `json:"unattended"`
			Facts      []jsonFact `json:"facts"`
		}{Unattended: s.unattended}
		var states []string
		for now := int64(1_000_000); len(states) < 40; now += random.Int64N(100_000) {
			f := randomFact(random, s, now)
			line.Facts = append(line.Facts, f)
			var effects []effect
			s, effects = step(s, f.fact())
			states = append(states, summary(s, effects))
			seen[s.at] = true
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(text, '\n'))
		want = append(want, states)
	}
	for place := range nodes() {
		if !seen[place] && count == 500 { // with fewer stories, some states are not reached
			t.Errorf("no random story came to %q", place)
		}
	}
	stories := strings.Split(input.String(), "\n")
	cmd := exec.CommandContext(t.Context(), "node",
		makequick.Runs(t, "../../static/jstest/machine.mjs"))
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = &input, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node (see make install): %v\n%s", err, problems.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d stories of %d", len(lines), len(want))
	}
	for i, line := range lines {
		got := parse[[]string](t, json.RawMessage(line))
		for n := range want[i] {
			if n >= len(got) || got[n] != want[i][n] {
				t.Fatalf("fact %d of %s\nbefore:     %s\nJavaScript: %s\nGo:         %s", n+1,
					stories[i], want[i][max(0, n-1)], got[n], want[i][n])
			}
		}
	}
}

// randomFact returns a random fact, mostly of a kind that the current state handles.
func randomFact(random *rand.Rand, s machineState, now int64) jsonFact {
	f := jsonFact{Now: now}
	names := []string{"go", "stop", "dismiss", "resume", "refresh", "closed", "events", "presence",
		"absent",
		"STARTING", "STARTED", "STOPPING", "STOPPED", "RECONNECTING", "RECONNECTED", "publishing",
		"ended", "refused", "connected", "claim"}
	names = append(names, answers...)
	if on := nodes()[s.at].on; random.IntN(4) > 0 {
		names = nil
		for name := range on {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	f.Kind = names[random.IntN(len(names))]
	switch {
	case strings.ToUpper(f.Kind) == f.Kind:
		f.State, f.Kind = f.Kind, "obs"
	case slices.Contains([]string{"publishing", "ended", "refused", "connected"}, f.Kind):
		f.Event = &toldWord{Kind: f.Kind}
		f.Kind = "stage"
	case f.Kind == "claim":
		f.Event = &toldWord{Kind: "refused"}
	}
	if f.Event != nil {
		one := func(texts ...string) string { return texts[random.IntN(len(texts))] }
		f.Event.Code = one("", "lost", "token_expired", "token_revoked", one(finalCodes...),
			one(finalCodes...))
		f.Event.Detail = one("", "A sentence.")
		f.Event.ByRole = one("", "operator", "moderator")
	}
	if slices.Contains(answers, f.Kind) {
		turn := s.turn
		if random.IntN(10) == 0 {
			turn++
		}
		f.Turn = &turn
		if turn == 0 {
			f.Turn = nil
		}
	}
	flip := func() bool { return random.IntN(2) == 0 }
	someone := func() *toldAbout {
		return &toldAbout{[]string{"p1", "p2"}[random.IntN(2)],
			now + random.Int64N(400_000) - 100_000, now + 50_000, ""}
	}
	f.Stage, f.Online, f.Active, f.Reconnecting, f.WHIP = []string{"main", "side"}[random.IntN(2)],
		flip(), flip(), flip(), random.IntN(5) > 0
	f.Reusable, f.Kept, f.Running = flip(), random.IntN(4) > 0, flip()
	if flip() {
		f.Mine = someone()
		f.Mine.Stage = "main"
	}
	if f.Kind == "token" || f.Kind == "refreshed" && flip() {
		f.About = someone()
	}
	if f.Kind == "failed" {
		f.Reason = &toldWhy{"live.failed"}
		if flip() {
			yes := flip()
			f.Sending = &yes
		}
	}
	return f
}

func summary(s machineState, effects []effect) string {
	why := func(r *reason) string {
		if r == nil {
			return "-"
		}
		return strings.Join([]string{r.text, r.detail, r.code, r.byRole}, "/")
	}
	said := func(w *word) string {
		if w == nil {
			return "-"
		}
		return strings.Join([]string{w.kind, w.code, w.detail, w.byRole}, "/")
	}
	then := "-"
	if s.then != nil {
		then = s.then.after + " " + why(s.then.reason)
	}
	var deferred, do []string
	for _, f := range s.deferred {
		deferred = append(deferred, f.name())
	}
	for _, e := range effects {
		do = append(do, fmt.Sprintf("%s,%s,%t,%s,%s", e.do, e.wait, e.fresh, e.stage, e.id))
	}
	return strings.Join([]string{
		s.at, s.phase, s.step, fmt.Sprint(s.turn), s.stage, string(s.about.participant),
		fmt.Sprint(s.about.expiresAt, s.about.renewAt, s.since),
		fmt.Sprint(s.sending, s.renewing, s.fresh, s.reused, s.unwanted, s.connecting, s.offline,
			s.orphaned, s.loop, s.stopped),
		fmt.Sprint(s.renewals, s.tries), why(s.reason), s.fallback, then, said(s.word),
		said(s.claim), strings.Join(deferred, ","), strings.Join(do, ";"),
	}, "|")
}
