package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordsStayWhileNoOperatorCouldSignIn: the server does not start with --no-passwords if no
// operator could sign in without a password. Nor does it start with --operator-passkeys if its
// public URL permits no passkeys.
func TestPasswordsStayWhileNoOperatorCouldSignIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, want string }{
		{"--no-passwords", "would lock every operator out"},
		{"--public-url=https://192.0.2.7", "passkeys need a public URL with a host name"},
	} {
		got := refused(t, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--media",
			"127.0.0.1:0", "--operator-passkeys", c.flag)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", c.flag, got, c.want)
		}
	}
}

// TestSettingsOfAProviderThatAdmitNobody: the server does not start with settings of a provider by
// which every sign-in would fail.
func TestSettingsOfAProviderThatAdmitNobody(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, want string }{
		{"--oidc-domains=@example.com", `domains such as example.com, not "@example.com"`},
		{"--oidc-domains=example.com, example.org", `not " example.org"`},
		{"--oidc-domains=*.example.com", `not "*.example.com"`},
		{"--oidc-client-secret-file=" + empty, "is empty"},
	} {
		got := refused(t, "--data", t.TempDir(), "--oidc-issuer", "https://login.example.com",
			"--oidc-client-id", "stagedoor", c.flag)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", c.flag, got, c.want)
		}
	}
}
