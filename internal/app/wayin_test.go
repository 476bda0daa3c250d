package app_test

import (
	"strings"
	"testing"
)

// TestPasswordsStayWhileNoOperatorCouldSignIn: the server does not start with --no-passwords if no
// operator could sign in without a password.
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
