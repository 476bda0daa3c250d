package docktest

import (
	"fmt"
	"testing"

	"github.com/oauth2-proxy/mockoidc"

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
	dock := browser.Open(t, browser.OBS31, browser.Options{ColorScheme: "dark"})
	dock.Goto(a.URL + "/dock")
	dock.WaitText("Continue with Example Login")
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
	phone.WaitText("OBS 32.0.4, Linux")
	phone.WaitText(code)
	fits(phone, "device")
	phone.ClickText("Approve")
	phone.WaitText("Done.")
	dock.WaitVisible("#f-obsPassword")
}
