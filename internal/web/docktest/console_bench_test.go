package docktest

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/bigdata"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// BenchmarkConsole uses a database with 10,000 people, 1,000 stages and 1,000,000 issuances. For
// every list it reports the median and the 99th percentile over HTTP. Each is divided by the time
// to read one token by its primary key. Both requests are sent in turns, so that other load on the
// machine affects both. For every page it reports the time from the navigation until Chromium shows
// its list. For a slow request it prints how long the threads of the process waited for a core.
func BenchmarkConsole(b *testing.B) {
	var postgres pg.Server
	defer postgres.Stop()
	for engine, driver := range map[string]string{"SQLite": "sqlite", "PostgreSQL": "pgx"} {
		b.Run(engine, func(b *testing.B) {
			var flags []string
			where := ""
			if driver == "pgx" {
				where = postgres.Database(b)
				flags = []string{"--database", where}
			}
			a := apptest.Start(b, flags...)
			if where == "" {
				where = filepath.Join(a.Data, "stagedoor.db")
			}
			olga := a.Operator()
			if err := bigdata.FillAt(b.Context(), driver, where, bigdata.AMillion,
				time.Now()); err != nil {
				b.Fatal(err)
			}
			b.Run("lists", func(b *testing.B) { benchLists(b, olga) })
			b.Run("pages", func(b *testing.B) { benchPages(b, a) })
			b.Run("rule", func(b *testing.B) { benchRule(b, olga) })
		})
	}
}

// lists are the requests of the console's pages, and the slowest searches.
var lists = []string{
	"users", "users?q=son+1077", "users?q=nobody", "users?stage=" + stage7, "users?role=operator",
	"stages", "stages?q=77", "tokens", "tokens?q=person+107777", "tokens?q=nobody",
	"tokens?state=active", "tokens?state=expired",
	"tokens?state=revoked", "tokens?user=user-100007", "tokens?stage=" + stage7,
	"tokens?state=revoked&stage=" + stage7,
	"audit", "audit?action=token.issued", "audit?target=user-100007", "audit?stage=" + stage7,
	"audit?q=son+1077", "audit?q=nobody", "audit?credential=none",
	"refusals", "refusals?stage=" + stage7, "bars",
	"events?kind=ended", "events?user=user-100007", "users/user-100007",
}

const stage7 = "arn%3Aaws%3Aivs%3Alocal%3A000000000000%3Astage%2F100007"

// benchRule measures how long the server takes, with 10,000 people, to compute the effect of a
// rule, and to apply the rule with an entry of the audit trail for each person.
func benchRule(b *testing.B, olga *apptest.Client) {
	rule := web.V1Rule{Stage: stage.ARN(olga.MainStage()), Capabilities: []string{"subscribe"}}
	start := time.Now()
	var effect web.V1RuleEffect
	olga.Must(http.StatusOK, "POST", "/api/v1/rules/effect", rule, &effect)
	asked := time.Since(start)
	if effect.Gain < 9_000 {
		b.Errorf("the effect is %+v", effect)
	}
	start = time.Now()
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", rule, nil)
	b.ReportMetric(float64(asked.Milliseconds()), "ms-effect")
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-applied")
	b.ReportMetric(0, "ns/op")
}

// waitedForCore returns how long the threads of this process were ready to run and waited for a
// core (proc(5), schedstat). On systems other than Linux it returns 0.
func waitedForCore() time.Duration {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	var sum time.Duration
	for _, file := range files {
		text, _ := os.ReadFile(file)
		var ran, waited int64
		fmt.Sscan(string(text), &ran, &waited)
		sum += time.Duration(waited)
	}
	return sum
}

func benchLists(b *testing.B, olga *apptest.Client) {
	const rounds = 200
	took := map[string][]time.Duration{}
	ask := func(path string) {
		waited, start := waitedForCore(), time.Now()
		if status, _, text := olga.Do("GET", path, nil); status != http.StatusOK {
			b.Fatalf("%s: %d %s", path, status, text)
		}
		wall := time.Since(start)
		if took[path] = append(took[path], wall); wall > 20*time.Millisecond {
			b.Logf("%s took %v; threads waited %v for a core", path, wall, waitedForCore()-waited)
		}
	}
	const baseline = "/api/tokens/token-10500000"
	for range rounds {
		for _, list := range lists {
			ask(baseline)
			ask("/api/v1/" + list)
		}
	}
	at := func(path string, share float64) time.Duration {
		slices.Sort(took[path])
		return took[path][int(share*float64(len(took[path])-1))]
	}
	worst50, worst99 := 0.0, 0.0
	for _, list := range append([]string{""}, lists...) {
		path := "/api/v1/" + list
		if list == "" {
			path = baseline
		}
		half, most := at(path, 0.5), at(path, 0.99)
		ratio50, ratio99 := float64(half)/float64(at(baseline, 0.5)),
			float64(most)/float64(at(baseline, 0.99))
		worst50, worst99 = max(worst50, ratio50), max(worst99, ratio99)
		name, _ := url.QueryUnescape(strings.TrimPrefix(path, "/api/"))
		fmt.Printf("%-75s p50 %-9v (×%4.1f)  p99 %-9v (×%4.1f)\n", name,
			half.Round(10*time.Microsecond), ratio50,
			most.Round(10*time.Microsecond), ratio99)
	}
	b.ReportMetric(worst50, "worst-p50/baseline")
	b.ReportMetric(worst99, "worst-p99/baseline")
	b.ReportMetric(0, "ns/op")
}

// consolePages are the pages, each with an expression that holds when the page can be used.
var consolePages = []struct{ page, ready string }{
	{"live", `document.querySelectorAll('.card').length === 3 && !document.body.innerText.includes('Loading')`},
	{"stages", `document.querySelectorAll('.lines > li').length === 50`},
	{"people", `document.querySelectorAll('.lines > li').length === 50`},
	{"person?id=user-100007", `document.querySelectorAll('.lines > li').length > 20`},
	{"rules", `document.querySelector('#rule-stage option:nth-child(2)')`},
	{"tokens", `document.querySelectorAll('.lines > li').length === 50`},
	{"tokens?stage=" + stage7, `document.querySelectorAll('.lines > li').length > 5`},
	{"keys", `document.querySelector('code')`},
	{"records", `document.querySelectorAll('.lines > li').length === 50`},
	{"programs", `document.querySelector('#f-hookUrl') && document.querySelector('[name="token.issued"]')`},
	{"system", `document.querySelector('.settings')`},
}

func benchPages(b *testing.B, a *apptest.App) {
	page := browser.Open(b, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator")
	signInAs(page, "olga")
	page.WaitText("Refused within the last hour")
	slowest := 0.0
	for _, each := range consolePages {
		page.Goto(a.URL + "/operator/" + each.page)
		var ms float64
		page.Eval(`(async () => {
			while (!(`+each.ready+`)) await new Promise((resolve) => setTimeout(resolve, 4));
			return performance.now();
		})()`, &ms)
		slowest = max(slowest, ms)
		fmt.Printf("%-75s usable after %.0f ms\n", each.page, ms)
		if *screenshots != "" {
			name, _, _ := strings.Cut(each.page, "?")
			shootLarge(page, name)
		}
	}
	b.ReportMetric(slowest, "ms-slowest-page")
	b.ReportMetric(0, "ns/op")
}

func shootLarge(page *browser.Page, name string) {
	for _, width := range []int{320, 460, 1280} {
		page.Resize(width, 900)
		page.Screenshot(filepath.Join(*screenshots, fmt.Sprintf("large-%s-%d.png", name, width)))
	}
}

// BenchmarkConsoleLive reports the CPU time of an open page, in hundredths of a core. 100 people
// are live on 20 stages, and their bitrates and viewers change every two seconds. One page shows
// these people, the other does not. Only the page's own thread is counted, so other load does not
// matter.
func BenchmarkConsoleLive(b *testing.B) {
	s := newFakeServer(b)
	var stages []any
	for i := range 1000 {
		stages = append(stages, stageOf(liveARN(i), fmt.Sprintf("Stage %03d", i)))
	}
	s.become(func() {
		s.signedIn = true
		s.me["role"], s.me["stages"] = "operator", stages
	})
	page := browser.Open(b, browser.Current, browser.Options{Width: 1280, Height: 900})
	for _, name := range []string{"live", "stages"} {
		page.Goto(s.URL + "/operator/" + name)
		s.awaitPage()
		s.tell("presences", hundredLive(0))
		if name == "live" {
			page.WaitFor(`document.querySelectorAll('.lines > li').length >= 100`)
			if *screenshots != "" {
				shootLarge(page, "live-100")
			}
		}
		const beats = 10
		before, start := page.CPU(), time.Now()
		for beat := range beats {
			time.Sleep(2 * time.Second)
			s.tell("presences", hundredLive(beat))
		}
		share := 100 * float64(page.CPU()-before) / float64(time.Since(start))
		b.ReportMetric(share, "%core-"+name)
	}
	b.ReportMetric(0, "ns/op")
}

func liveARN(i int) string { return fmt.Sprintf("arn:aws:ivs:local:000000000000:stage/%03d", i) }

// hundredLive returns the presence of five people on each of 20 stages.
func hundredLive(beat int) object {
	var stages []any
	for i := range 20 {
		var people []any
		for k := range 5 {
			r := reception()
			r["video"].(object)["bitrate"] = 2_400_000 + 1000*beat + 10_000*k
			people = append(people, object{
				"participantId": fmt.Sprintf("p-%d-%d", i, k),
				"userId":        fmt.Sprintf("u-%d-%d", i, k),
				"name":          fmt.Sprintf("Person %d of %d", k, i), "since": time.Now().UTC(),
				"publishing": true,
				"viewers":    10 + beat, "reception": r,
			})
		}
		stages = append(stages, object{"stage": liveARN(i), "participants": people})
	}
	return object{"complete": true, "stages": stages}
}
