package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// TestNamesAndLabelsKeepTogether examines the narrowest dock in every language. A name that is
// written from right to left is not cut at its beginning, and no word that fits its line is broken.
func TestNamesAndLabelsKeepTogether(t *testing.T) {
	t.Parallel()
	const name = "أحمد عبد الرحمن الشريف"
	look := func(lang string) browser.Options { return browser.Options{Width: 250, Lang: lang} }
	for _, lang := range []string{"en", "de", "es"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			d := around(t, fakeobs.Options{Password: obsPassword}, func() *browser.Page {
				return browser.Open(t, browser.OBS30, look(lang))
			})
			d.server.become(func() {
				d.server.me["name"] = name
				d.server.me["stages"] = []any{stageOf(arn, name),
					stageOf(arn+"2", "Hauptversammlungssaal")}
			})
			d.signIn()
			d.Click(".menu summary")
			var rows object
			d.Eval(`Object.fromEntries(['.brand', '.choice', '.who', '.menu nav a'].map(s =>
				[s, Math.round(document.querySelector(s).getBoundingClientRect().height)]))`, &rows)
			for what, height := range rows {
				// The highest line has 40 px: a select of 32 px, and 4 px above and below it. Two
				// lines have more than 44 px.
				if height.(float64) > 44 {
					t.Errorf("%s is %v px high, want one line", what, height)
				}
			}
			var apart bool
			d.Eval(`document.querySelector('.brand span').getBoundingClientRect().right <= document.querySelector('.menu summary').getBoundingClientRect().left`, &apart)
			if !apart {
				t.Error("the brand runs into the name")
			}
			d.WaitFor(`getComputedStyle(document.querySelector('.who')).direction === 'rtl'`)
			d.keep("menu-" + lang)
			d.Accessible()
		})
	}
}
