package docktest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// These names contain no space to break a line, and are nearly as long as names may be.
const (
	longName  = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh"
	longStage = "Donaudampfschifffahrtsgesellschaftshauptversammlungssaal"
)

// TestEveryPageFitsItsWindow examines every page in each language and at each width, with the
// longest names.
func TestEveryPageFitsItsWindow(t *testing.T) {
	t.Parallel()
	a := replicas.App(t, "--webhook-networks", "127.0.0.0/8")
	pages, guest := pagesWithLongNames(t, a)
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/setup")
	for _, lang := range []string{"en", "de", "es"} {
		for _, path := range []string{"/", "/dock", "/setup", "/nowhere"} {
			fits(t, page, a.URL, lang, path, "")
		}
		fits(t, page, a.URL, lang, guest, longStage)
	}
	page.Eval(`localStorage.setItem('stagedoor.language', 'en')`, nil)
	page.Goto(a.URL + "/account")
	signInAs(page, longName)
	page.WaitVisible("header summary")
	for _, lang := range []string{"en", "de", "es"} {
		for path, text := range pages {
			fits(t, page, a.URL, lang, path, text)
		}
	}

	t.Log("sentences of the server are in the language of the page")
	page.Eval(`localStorage.setItem('stagedoor.language', 'de')`, nil)
	page.Goto(a.URL + "/operator/system")
	page.WaitText("Datenbank: gut")
	page.WaitText("Voreinstellung")
	page.Goto(a.URL + "/operator/tokens")
	page.WaitText("lokaler Schlüssel")
	page.Goto(a.URL + "/operator/system")
	var unknown []string
	page.Eval(`(async () => {
		const get = async (path) => (await fetch(path)).json();
		const sentences = await get('/static/strings/de.json');
		const names = [...(await get('/api/v1/system')).checks.map((c) => c.name),
			...(await get('/api/v1/doctor')).checks.map((c) => c.check)];
		return names.filter((name) => !(('op.check.' + name) in sentences));
	})()`, &unknown)
	if len(unknown) > 0 {
		t.Errorf("checks without a German name: %q", unknown)
	}
}

// pagesWithLongNames fills the server. It returns the pages, each with a text that the page shows
// in every language once it has loaded, and the page of a guest.
func pagesWithLongNames(t *testing.T, a *apptest.App) (pages map[string]string, guest string) {
	t.Helper()
	olga := a.Browser()
	olga.Must(http.StatusCreated, "POST", "/api/setup", web.SetUp{
		Code: apptest.Code(a.SetupURL), Name: longName, Password: apptest.Password}, nil)
	var stage web.V1Stage
	olga.Must(http.StatusCreated, "POST", "/api/v1/stages", web.NewStage{Name: longStage}, &stage)
	broadcaster := a.Broadcaster(olga, longName+" II", "publish", "subscribe")
	id := string(broadcaster.Me().ID)
	olga.Must(http.StatusNoContent, "PUT",
		"/api/v1/users/"+id+"/grants/"+url.PathEscape(string(stage.ARN)),
		web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	broadcaster.Token("publish")
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		Claim: longStage, Value: longStage, OwnStage: "{name}" + longStage[:20],
		Capabilities: []string{"publish", "subscribe"}}, nil)
	olga.Must(http.StatusCreated, "POST", "/api/v1/api-keys", web.V1NewAPIKey{Name: longStage}, nil)
	olga.Must(http.StatusCreated, "POST", "/api/keys", map[string]string{"name": longStage}, nil)
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks", web.V1NewWebhook{
		URL: "http://127.0.0.1:9/" + longStage, Types: []string{"participant.published"}}, nil)
	var link web.CreatedGuestLink
	olga.Must(http.StatusCreated, "POST", "/api/guest-links", web.NewGuestLink{
		Stage: stage.ARN, Role: "publish", Name: longStage}, &link)
	pages = map[string]string{
		"/": "/dock", "/dock": longName, "/dock/stage": longStage, "/watch": longStage,
		"/account": longStage, "/device": longName,
		"/operator/live": longName, "/operator/stages": longStage,
		"/operator/people": longName + " II",
		"/operator/rules":  longStage, "/operator/tokens": longName + " II",
		"/operator/keys": "--ivs-region", "/operator/records": "rule.created",
		"/operator/programs": longStage, "/operator/system": "--token-limit",
		"/operator/person?id=" + id: longStage,
	}
	return pages, strings.TrimPrefix(link.URL, a.URL)
}

// fits opens a page. It fails the test if the page is wider than its window, or if an identifier
// such as "user.created" is broken although it fits a line.
func fits(t *testing.T, page *browser.Page, base, lang, path, text string) {
	t.Helper()
	page.Eval(`localStorage.setItem('stagedoor.language', '`+lang+`')`, nil)
	page.Goto("about:blank") // a change of only the fragment would not load the page
	page.Goto(base + path)
	page.WaitFor(`document.documentElement.lang === '` + lang + `' &&
		document.querySelector('main h1, main h2, main p') &&
		!document.querySelector('[aria-busy="true"]')`)
	page.WaitFor(`[document.body.innerText, ...[...document.querySelectorAll('input')]
		.map((i) => i.value)].some((text) => text.includes('` + text + `'))`)
	for _, width := range everyWidth() {
		page.Resize(width, 900)
		page.WaitFor(`innerWidth === ` + fmt.Sprint(width))
		var wide []string
		page.Eval(tooWide, &wide)
		if len(wide) > 0 {
			t.Errorf("%s in %s at %d px: these elements are too wide: %s",
				path, lang, width, strings.Join(wide, "; "))
		}
		name, _, _ := strings.Cut(strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), "?")
		name, _, _ = strings.Cut(name, "#")
		keep(page, fmt.Sprintf("width-%s-%s-%d", name, lang, width))
	}
}

// tooWide is an expression that lists by how much the page is too wide, and the elements that make
// it so. It also lists identifiers such as "user.created" that are broken although they fit a line.
const tooWide = `(() => {
	const wide = document.documentElement.scrollWidth - innerWidth;
	const name = (e) => e.tagName.toLowerCase() + '.' + e.className + ' ' + e.innerText.slice(0, 40);
	const found = wide > 0 ? [wide + ' px too wide', ...[...document.querySelectorAll('body *')]
		.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(-3).map(name)] : [];
	const range = document.createRange();
	const lines = (e) => {
		range.selectNodeContents(e);
		return new Set([...range.getClientRects()].map((box) => box.top)).size;
	};
	if (innerWidth > 460) for (const e of document.querySelectorAll('main span, main b, main td')) {
		if (/^[a-z_]+\.[a-z_]+$/.test(e.innerText) && lines(e) > 1) found.push('broken: ' + name(e));
	}
	return found;
})()`
