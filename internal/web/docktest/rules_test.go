package docktest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestARuleGivesTheLastOfManyStages: the forms for a rule and for a person's access find every
// stage by the same search. The page shows the effect of a new rule before it is applied, and
// afterwards what was changed.
func TestARuleGivesTheLastOfManyStages(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	olga := a.Operator()
	for i := range 120 {
		olga.Must(http.StatusCreated, "POST", "/api/v1/stages",
			web.NewStage{Name: fmt.Sprintf("stage %03d", i)}, nil)
	}
	ana := a.Broadcaster(olga, "ana", "publish")
	rules := func() []web.V1Rule {
		var all web.V1Rules
		olga.Must(http.StatusOK, "GET", "/api/v1/rules", nil, &all)
		return all.Rules
	}
	chosen := func(id, name string) string {
		return fmt.Sprintf(`document.querySelector('#%s').selectedOptions[0]?.text === '%s'`, id, name)
	}
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/rules")
	signInAs(page, "olga")
	page.WaitText("There are no rules.")
	page.Type("#rule-stage-find", "stage 117")
	page.WaitFor(chosen("rule-stage", "stage 117"))
	page.WaitNoText("Name of a stage of their own") // is for rules that create stages
	page.ClickText("Show the effect")
	page.WaitText("Gain access: 1.")
	if got := rules(); len(got) > 0 {
		t.Errorf("before the effect was accepted: got %+v, want no rule", got)
	}
	shootConsole(page, "console-rules-effect")

	t.Log("a value whose claim was forgotten makes no rule for everybody")
	page.Type("#rule-value", "staff")
	page.ClickText("Show the effect")
	page.WaitText("A rule needs a claim and its value")
	page.WaitNoText("Gain access")
	page.Eval(`document.querySelector('#rule-value').value = ''`, nil)
	page.ClickText("Show the effect")
	page.WaitText("Gain access: 1.")

	t.Log("another choice removes the shown effect, and a search keeps the choice")
	page.Type("#rule-stage-find", "stage 118")
	page.WaitFor(chosen("rule-stage", "stage 118"))
	page.WaitNoText("Gain access")
	page.Type("#rule-stage-find", "no such stage")
	page.WaitText("No stage has this name.")
	page.WaitFor(chosen("rule-stage", "stage 118"))
	page.ClickText("Show the effect")
	page.ClickText("Add rule")
	page.WaitText("The rule is in force: Every user → stage 118")
	page.WaitFor(`document.querySelector('.lines .side').innerText === 'stage 118'`)
	page.WaitFor(chosen("rule-stage", "a stage of their own"))
	if got := rules(); len(got) != 1 {
		t.Errorf("after the effect was accepted: got %+v, want one rule", got)
	}

	t.Log("the page of a person has the same search")
	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.WaitText("stage 118")
	page.ClickText("Give access")
	page.Type("#grant-stage-find", "stage 119")
	page.WaitFor(chosen("grant-stage", "stage 119"))
	page.Click(`form.inline button[type="submit"]`)
	page.WaitText("ana has access to stage 119.")
}
