package docktest

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// An encoder is the WHIP output of a fake OBS that publishes real media to the stage.
type encoder struct {
	t    testing.TB
	clip *rtcpeer.Clip

	mu    sync.Mutex
	calls []fakeobs.Call
}

func newEncoder(t testing.TB) *encoder {
	return &encoder{t: t, clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})}
}

func (e *encoder) output(
	_ context.Context, endpoint, bearer string, opus bool,
) (fakeobs.Session, error) {
	e.mu.Lock()
	e.calls = append(e.calls, fakeobs.Call{Endpoint: endpoint, Bearer: bearer, Opus: opus})
	e.mu.Unlock()
	if !opus {
		return nil, errors.New("AAC labelled as Opus")
	}
	p, err := rtcpeer.Publish(e.t, rtcpeer.HTTP(endpoint, bearer),
		rtcpeer.PublishOptions{Clip: e.clip})
	if err != nil {
		return nil, err
	}
	return broadcast{p}, nil
}

// A broadcast is a Publisher that ends by DELETE, as OBS does.
type broadcast struct{ *rtcpeer.Publisher }

func (b broadcast) Done() <-chan struct{} { return b.Closed() }
func (b broadcast) Close() error          { return b.HangUp(context.Background()) }

// TestAnAWSStageFromTheOperatorsPageToLive adds an AWS stage on the operator's page and goes live
// in the dock, with the emulator.
func TestAnAWSStageFromTheOperatorsPageToLive(t *testing.T) {
	t.Parallel()
	anAWSStageToLive(t, replicas.App(t, "--ivs-region", "us-west-2", "--ivs-endpoint",
		apptest.Emulate(t)))
}

func anAWSStageToLive(t *testing.T, a *apptest.App) {
	olga := a.Operator()
	ana := invited(a, olga, "ana")
	op := operatorPage(t, a)

	t.Log("the operator creates a stage at AWS")
	op.ClickText("Stages on Amazon IVS")
	op.WaitText("There are no stages in your AWS account (us-west-2) yet.")
	op.Type("#f-awsName", "studio")
	op.ClickText("Create on AWS")
	op.WaitText("By the AWS API: there is no own key")
	op.WaitText("All stages of the account are added already.")
	studio := stageNamed(t, olga, "studio")

	t.Log("an ARN that AWS does not know is not added, and the page says so beside the field")
	op.Type("#f-arn", "arn:aws:ivs:us-west-2:123456789012:stage/nowhere")
	op.ClickText("Add by ARN")
	op.WaitText("The stage is gone from AWS")
	op.WaitVisible(`details[open] .error`)
	shootPage(op, "operator-aws-refused")

	t.Log("the operator removes the stage after a question, and adds it again from the list of AWS")
	op.ClickText("Manage: studio")
	op.ClickText("Remove: studio")
	op.WaitText("At AWS the stage stays.")
	op.ClickText("Yes, do it")
	op.WaitVisible(`[aria-label="Add: studio"]`)
	shootPage(op, "operator-aws-list")
	op.ClickText("Add: studio")
	op.WaitText("All stages of the account are added already.")

	t.Log("the operator can set the limits of the stage")
	choice := `document.getElementById('grant-stage')`
	op.WaitVisible(`[id="most-` + string(studio.ARN) + `"]`)
	op.Type(`[id="most-`+string(studio.ARN)+`"]`, "6000")
	op.Press("Enter")
	op.WaitFor(`(async () => (await (await fetch('../api/stages')).json()).stages.some((s) => s.name === 'studio' && s.limits.maxBitrate === 6000000))()`)

	t.Log("the operator gives Ana access")
	op.Click(`.places a[href$="/operator/people"]`)
	op.ClickText("ana")
	op.WaitFor(`location.search === '?id=` + string(ana.Me().ID) + `'`)
	op.WaitFor(choice + ` !== null`)
	op.Eval(choice+`.value = '`+string(studio.ARN)+`'`, nil)
	op.WaitFor(choice + `.value === '` + string(studio.ARN) + `'`)
	op.Click(`form button[type="submit"]`)
	op.WaitText("tokens up to 12 hours")
	shootPage(op, "operator-aws")

	t.Log("Ana goes live from the dock with a token of the AWS API")
	sender := newEncoder(t)
	obs := fakeobs.Start(t, fakeobs.Options{Password: obsPassword, Output: sender.output})
	page := browser.Open(t, browser.OBS31, browser.Options{})
	page.Goto(a.URL + "/dock")
	signInAs(page, "ana")
	page.Type(`input[name="address"]`, "127.0.0.1:"+obs.Port())
	page.Type(`input[name="obsPassword"]`, obsPassword)
	page.Click(`.card form button[type="submit"]`)
	page.ClickText("Set up OBS")
	inState(page, "ready")
	page.ClickText("Go live")
	inState(page, "live")
	page.WaitText("LIVE")

	var tokens web.Tokens
	olga.Must(http.StatusOK, "GET", "/api/tokens?all=1", nil, &tokens)
	if got := tokens.Tokens[0]; got.IssuedBy != "AWS API" || got.User.Name != "ana" ||
		got.Stage != studio.ARN {
		t.Errorf("the token: got %+v, want one of the AWS API for ana on the studio", got)
	}
	if len(sender.calls) != 1 || sender.calls[0].Bearer == "" {
		t.Errorf("OBS called %d times, want once", len(sender.calls))
	}

	t.Log("Ana stops, and is not on the stage any more")
	page.Click("button.danger")
	obs.WaitStream(t, "STOPPED")
	inState(page, "ready")

	t.Log("the operator creates an own key for the region, rotates it, and stops using it")
	op.Click(`.places a[href$="/operator/keys"]`)
	op.ClickText("Create a key")
	op.WaitText("An own key signs the tokens of this region")
	var first string
	op.Eval(`document.querySelector('.lines .main').innerText`, &first)
	op.ClickText("Rotate")
	op.WaitFor(`[...document.querySelectorAll('.lines > li')].some((row) => row.innerText.includes('signs') && !row.innerText.includes('` + first + `'))`)
	op.Accessible()
	shootPage(op, "console-own-keys")
	op.ClickText("Stop using it: us-west-2")
	op.ClickText("Yes, do it")
	op.WaitText("The AWS API issues the tokens of this region.")
	op.Click(`.places a[href$="/operator/records"]`)
	for _, action := range []string{"own_key.created", "own_key.rotated", "own_key.retired"} {
		op.WaitText(action)
	}
}

// TestAWSOutOfReach: if AWS cannot be reached, the page shows the server's error in the language of
// the page, lists the local stages, and still has the field for the ARN of a stage.
func TestAWSOutOfReach(t *testing.T) {
	t.Parallel()
	a := replicas.App(t, "--ivs-region", "us-west-2", "--ivs-endpoint", "http://127.0.0.1:1")
	a.Operator()
	op := operatorPage(t, a)
	op.ClickText("Stages on Amazon IVS")
	op.WaitText("The stages in us-west-2 cannot be listed.")
	op.WaitText("Amazon IVS cannot be reached from the server")
	op.WaitVisible("#f-arn")
	op.WaitVisible("#f-awsName")
	op.WaitText("main")
	op.Eval(`localStorage.setItem('stagedoor.language', 'de')`, nil)
	op.Goto(a.URL + "/operator/stages")
	op.ClickText("Bühnen bei Amazon IVS")
	op.WaitText("Der Server erreicht Amazon IVS nicht.")

	t.Log("a server without AWS explains how to add AWS")
	b := replicas.App(t)
	b.Operator()
	other := operatorPage(t, b)
	other.ClickText("Stages on Amazon IVS")
	other.WaitText("start Stagedoor with --ivs-region")
}

func operatorPage(t *testing.T, a *apptest.App) *browser.Page {
	t.Helper()
	page := browser.Open(t, browser.Current, browser.Options{Width: 460, Height: 900})
	page.Goto(a.URL + "/operator/stages")
	signInAs(page, "olga")
	page.WaitText("The stage is empty.") // now that the lists have loaded, the layout is stable
	return page
}

func signInAs(page *browser.Page, name string) {
	page.Type(`input[name="name"]`, name)
	page.Type(`input[name="password"]`, apptest.Password)
	page.ClickText("Sign in")
}

func inState(page *browser.Page, name string) {
	page.WaitFor(`document.documentElement.dataset.state === ` + strconv.Quote(name))
}

// invited adds a broadcaster who has access to no stage yet.
func invited(a *apptest.App, operator *apptest.Client, name string) *apptest.Client {
	var made web.Invited
	operator.Must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: name}, &made)
	c := a.Browser()
	c.Must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: apptest.Code(made.Invite), Password: apptest.Password}, nil)
	return c
}

func stageNamed(t *testing.T, operator *apptest.Client, name string) web.Stage {
	t.Helper()
	var list web.Stages
	operator.Must(http.StatusOK, "GET", "/api/stages", nil, &list)
	for _, s := range list.Stages {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no stage %q: %+v", name, list)
	return web.Stage{}
}

// shootPage takes screenshots of the operator's page, in a narrow window and in a desktop window.
func shootPage(page *browser.Page, name string) {
	if *screenshots == "" {
		return
	}
	for _, width := range []int{460, 1280} {
		page.Resize(width, 900)
		page.FullScreenshot(filepath.Join(*screenshots, name+"-"+strconv.Itoa(width)+".png"))
	}
	page.Resize(460, 900)
}
