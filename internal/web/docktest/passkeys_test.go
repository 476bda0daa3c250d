package docktest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestAnOperatorSignsInWithAPasskey: a server requires operators to have a passkey. The operator
// adds a passkey, signs in with it, and cannot remove it, since there is no other. Then passwords
// are switched off, and the passkey is the only way to sign in.
func TestAnOperatorSignsInWithAPasskey(t *testing.T) {
	t.Parallel()
	a := replicas.App(t, "--operator-passkeys")
	olga := a.Operator()
	if me := olga.Me(); !me.PasskeyNeeded || me.Role != "broadcaster" {
		t.Errorf("an operator with a password alone is %+v", me)
	}
	olga.Refused(http.StatusForbidden, "passkey_needed", "GET", "/api/v1/users", nil)

	page := browser.Open(t, browser.Current, browser.Options{})
	page.Authenticator()
	page.Goto(named(a.URL) + "/account")
	signInAs(page, "olga")
	page.WaitText("Operators need a passkey here.")
	page.Type("#f-passkeyName", "laptop")
	page.ClickText("Add a passkey")
	page.WaitText("laptop")
	shootPasskeys(page, "passkeys")

	t.Log("now the password alone changes no passkeys")
	var there web.Passkeys
	olga.Must(http.StatusOK, "GET", "/api/passkeys", nil, &there)
	if len(there.Passkeys) != 1 || there.Host != "localhost" {
		t.Fatalf("the passkeys are %+v", there)
	}
	laptop := "/api/passkeys/" + there.Passkeys[0].ID
	olga.Refused(http.StatusForbidden, "passkey_needed", "DELETE", laptop, nil)
	olga.Refused(http.StatusForbidden, "passkey_needed", "POST", "/api/passkeys/options", nil)

	t.Log("after a sign-in with the passkey, the account has the operator's rights")
	signOutOf(page)
	shootPasskeys(page, "passkeys-sign-in")
	page.Eval(`(() => { const real = fetch; window.sent = []; window.fetch = (url, o) => { sent.push(o?.body); return real(url, o); }; })()`, nil)
	page.ClickText("Sign in with a passkey")
	page.WaitText("Signed in as olga (operator).")
	var sent []string
	page.Eval(`sent.filter((body) => body?.includes('signature'))`, &sent)
	if len(sent) != 1 {
		t.Fatalf("the page sent %d answers", len(sent))
	}
	a.Browser().Refused(http.StatusUnauthorized, "passkey_refused", "POST", "/api/login/passkey",
		json.RawMessage(sent[0]))

	t.Log("the last passkey cannot be removed, but renamed")
	page.Allow("409")
	page.ClickText("Remove: laptop")
	page.WaitText("this is your last one")
	page.ClickText("Rename: laptop")
	page.Type("#f-newName", "desk")
	page.ClickText("Save")
	page.WaitText("desk")
	var trail web.V1Audit
	page.Eval(`fetch('/api/v1/audit?limit=20').then((r) => r.json())`, &trail)
	var seen []string
	for _, e := range trail.Entries {
		seen = append(seen, string(e.Action)+" "+e.TargetName+" "+e.Detail)
	}
	for _, want := range []string{"passkey.created laptop ", "passkey.changed desk ",
		"login.created olga passkey laptop"} {
		if !strings.Contains(strings.Join(seen, "\n"), want) {
			t.Errorf("the trail lacks %q: %s", want, strings.Join(seen, "\n"))
		}
	}

	t.Log("without passwords the passkey is the way in")
	a.Stop()
	b := a.Again("--no-passwords")
	b.Browser().Refused(http.StatusForbidden, "no_passwords", "POST", "/api/login",
		web.Credentials{Name: "olga", Password: apptest.Password})
	page.Goto(named(b.URL) + "/account")
	signOutOf(page)
	page.ClickText("Sign in with a passkey")
	page.WaitText("Signed in as olga (operator).")
	page.ClickText("Remove: desk")
	page.WaitText("this passkey is your last way in")

	t.Log("an invite asks for no password: it signs in once, to add a passkey")
	var made web.Invited
	page.Eval(`fetch('/api/v1/users', {method: 'POST', body: '{"name":"ina"}',
		headers: {'Content-Type': 'application/json'}}).then((r) => r.json())`, &made)
	page.Goto(named(made.Invite))
	page.WaitText("this link signs you in once")
	page.WaitGone(`input[type="password"]`)
	shootPasskeys(page, "invite-once")
	page.ClickText("Sign in once")
	page.WaitText("Signed in as ina (broadcaster).")
	page.WaitText("Add a passkey")
}

// named returns the address with a host name, because browsers do not bind passkeys to an IP
// address.
func named(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }

func signOutOf(page *browser.Page) {
	page.WaitVisible("header summary")
	page.Click("header summary")
	page.ClickText("Sign out")
	page.WaitText("Sign in with a passkey")
}

func shootPasskeys(page *browser.Page, name string) {
	if *screenshots == "" {
		return
	}
	for _, width := range []int{250, 320, 460, 1280} {
		page.Resize(width, 900)
		page.Screenshot(filepath.Join(*screenshots, name+"-"+strconv.Itoa(width)+".png"))
	}
}
