package docktest

import (
	"fmt"
	"testing"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
)

// TestAPhoneSignsInTheDock: the dock shows a code, and a person approves it on a phone. The server
// offers sign-in by a provider, by codes and by passwords.
func TestAPhoneSignsInTheDock(t *testing.T) {
	t.Parallel()
	m, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	a := replicas.App(t, "--oidc-issuer", m.Issuer(), "--oidc-client-id="+m.Config().ClientID,
		"--oidc-client-secret="+m.Config().ClientSecret, "--oidc-name", "Example Login")
	a.Broadcaster(a.Operator(), "ana", "publish", "subscribe")

	fits := func(p *browser.Page, name string) {
		t.Helper()
		for _, width := range everyWidth() {
			p.Resize(width, 700)
			p.WaitFor(`document.documentElement.scrollWidth <= innerWidth &&
				[...document.querySelectorAll('main *')].every(e => e.scrollWidth <= e.clientWidth || getComputedStyle(e).display === 'inline')`)
			keep(p, fmt.Sprint(name, "-", width))
		}
		p.Accessible()
	}
	dock := browser.Open(t, browser.OBS30, browser.Options{ColorScheme: "dark"})
	dock.Goto(a.URL + "/dock")
	dock.WaitText("Continue with Example Login")
	// The sign-in with a code is the first choice.
	dock.WaitFor(`(b => b.matches('.primary') && b.innerText === 'Sign in with a code')(
		document.querySelector('main .button, main button'))`)
	fits(dock, "sign-in")
	dock.ClickText("Sign in with a code")
	dock.WaitVisible(".qr")
	dock.WaitGone("#f-password")
	fits(dock, "sign-in-code")
	var code string
	dock.Eval(`document.querySelector('.code').innerText`, &code)

	phone := browser.Open(t, browser.Current, browser.Options{ColorScheme: "light"})
	phone.Goto(a.URL + "/device")
	phone.WaitText("Continue with Example Login")
	signInAs(phone, "ana")
	phone.Type("#f-code", code)
	phone.ClickText("Next")
	phone.WaitText("OBS 30.2.3, Linux")
	phone.WaitText(code)
	phone.WaitText("127.0.0.1")
	// The last fact is the time of the request.
	phone.WaitFor(`/\d/.test(document.querySelector('.facts dd:last-child').innerText)`)
	fits(phone, "device")
	phone.ClickText("Approve")
	phone.WaitText("Done.")
	dock.WaitVisible("#f-obsPassword")
}

// TestAWrongCodeIsSaidInTheLanguageOfThePage: the page has its own sentence for a wrong device
// code, because the server answers with bad_code, as it does for wrong links. When the page is
// opened again, it does not try the wrong code again.
func TestAWrongCodeIsSaidInTheLanguageOfThePage(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	a.Operator()
	page := browser.Open(t, browser.Current, browser.Options{Width: 320, Height: 640, Lang: "de"})
	page.Goto(a.URL + "/device#BCDF-GHJK")
	page.Type(`input[name="name"]`, "olga")
	page.Type(`input[name="password"]`, apptest.Password)
	page.Click(`form button[type="submit"]`)
	const sentence = "Kein Dock zeigt diesen Code"
	page.WaitText(sentence)
	page.WaitFor(`document.querySelector('#f-code').value === 'BCDF-GHJK'`)
	keep(page, "device-wrong-code-de")
	page.Goto(a.URL + "/device?again")
	page.WaitVisible("#f-code")
	page.WaitFor(`document.querySelector('#f-code').value === ''`)
	page.WaitNoText(sentence)
}
