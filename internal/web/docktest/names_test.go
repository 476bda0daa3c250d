package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// TestNamesAndLabelsKeepTogether in the narrowest dock, in every language: a name that is written
// from right to left keeps its beginning, and no word is broken where there is room for it.
func TestNamesAndLabelsKeepTogether(t *testing.T) {
	t.Parallel()
	const name = "أحمد عبد الرحمن الشريف"
	look := func(lang string) browser.Options { return browser.Options{Width: 250, Lang: lang} }
	shared := browser.Open(t, browser.OBS30, look("en"))
	for _, lang := range []string{"en", "de", "es"} {
		t.Run(lang, func(t *testing.T) {
			d := around(t, fakeobs.Options{Password: obsPassword}, func() *browser.Page {
				return shared.For(t, look(lang))
			})
			d.desk.become(func() {
				d.desk.me["name"] = name
				d.desk.me["stages"] = []any{stageOf(arn, name),
					stageOf(arn+"2", "Hauptversammlungssaal")}
			})
			d.signIn()
			d.Click(".menu summary")
			var rows object
			d.Eval(`Object.fromEntries(['.brand', '.choice', '.who', '.menu nav a'].map(s =>
				[s, Math.round(document.querySelector(s).getBoundingClientRect().height)]))`, &rows)
			for what, height := range rows {
				// one line; a select is 32 px high and stands in 4 px each
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
