package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

const (
	region  = "us-west-2"
	account = "123456789012"
	arn     = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/main")
)

// An aws is Amazon IVS's store of public keys, in memory. A call can fail before or after it took
// effect.
type aws struct {
	kms crypto.Signer

	mu      sync.Mutex
	names   map[string]string // by ARN
	content map[string]string // by ARN
	calls   int
	down    string                            // a region that does not answer
	broken  func(call int, before bool) error // may be nil
}

func newAWS() *aws { return &aws{names: map[string]string{}, content: map[string]string{}} }

func (a *aws) do(f func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if a.broken != nil {
		if err := a.broken(a.calls, true); err != nil {
			return err
		}
	}
	err := f()
	if a.broken != nil && err == nil {
		err = a.broken(a.calls, false)
	}
	return err
}

func (a *aws) ImportPublicKey(
	_ context.Context, region, name, material string,
) (arn string, err error) {
	err = a.do(func() error {
		if len(a.names) >= 3 {
			return stage.Errorf(stage.ErrUnavailable, "quota")
		}
		arn = fmt.Sprintf("arn:aws:ivs:%s:%s:public-key/%s", region, account, stage.NewID())
		a.names[arn], a.content[arn] = name, material
		return nil
	})
	return arn, err
}

func (a *aws) PublicKeys(_ context.Context, region string) (names map[string]string, err error) {
	err = a.do(func() error {
		if region == a.down {
			return errCut
		}
		names = maps.Clone(a.names)
		return nil
	})
	return names, err
}

func (a *aws) PublicKey(_ context.Context, arn string) (material string, err error) {
	err = a.do(func() error { material = a.content[arn]; return nil })
	return material, err
}

func (a *aws) DeletePublicKey(_ context.Context, arn string) error {
	return a.do(func() error {
		if _, ok := a.names[arn]; !ok {
			return stage.Errorf(stage.ErrNotFound, "gone")
		}
		delete(a.names, arn)
		delete(a.content, arn)
		return nil
	})
}

func (a *aws) KMSKey(_ context.Context, _, id string) (crypto.Signer, string, error) {
	return a.kms, "arn:aws:kms:us-west-2:123456789012:key/" + strings.TrimPrefix(id, "alias/"), nil
}

// keyring returns the public keys with which AWS would verify tokens.
func (a *aws) keyring() token.Keyring { return ring{a} }

type ring struct{ a *aws }

func (r ring) PublicKey(_ context.Context, kid string) (*ecdsa.PublicKey, error) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	block, _ := pem.Decode([]byte(r.a.content[kid]))
	if block == nil {
		return nil, stage.Errorf(stage.ErrNotFound, "no such key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(*ecdsa.PublicKey), nil
}

type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return time.Now().Add(c.ahead) }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.ahead += d }

// A harness is a data folder with keys, an AWS in memory, and a clock.
type harness struct {
	t      *testing.T
	dir    string
	aws    *aws
	clock  *clock
	keys   *keys.Manager
	router *keys.Router
}

func newHarness(t *testing.T) *harness {
	return &harness{t: t, dir: filepath.Join(t.TempDir(), "keys"), aws: newAWS(), clock: &clock{}}
}

// start creates a new Manager and Router on the same folder, as a restart does.
func (h *harness) start() *harness {
	h.keys = keys.New(keys.Config{Dir: h.dir, AWS: h.aws, Now: h.clock.now})
	h.router = &keys.Router{
		Keys: h.keys, API: api{}, Now: h.clock.now, Endpoints: endpoints,
		WHIPEndpoint: func(stage.Endpoints) string { return "https://global.whip.live-video.net" },
	}
	return h
}

func endpoints(context.Context, stage.ARN) (stage.Endpoints, error) {
	return stage.Endpoints{WHIP: "https://x.global-bm.whip.live-video.net",
		Events: "wss://global.events.live-video.net"}, nil
}

type api struct{}

func (api) IssueToken(context.Context, stage.TokenRequest) (stage.ParticipantToken, error) {
	return stage.ParticipantToken{IssuedBy: "AWS API"}, nil
}

func (h *harness) issue(ttl time.Duration) stage.ParticipantToken {
	h.t.Helper()
	made, err := h.router.IssueToken(h.t.Context(), stage.TokenRequest{
		Stage: arn, Capabilities: stage.Publish, TTL: ttl,
	})
	if err != nil {
		h.t.Fatalf("IssueToken: got %v, want nil", err)
	}
	return made
}

// accepted returns an error if AWS would refuse the token.
func (h *harness) accepted(made stage.ParticipantToken) error {
	v := token.Verifier{Keys: h.aws.keyring(), Endpoints: endpoints, Now: h.clock.now}
	_, err := v.Verify(h.t.Context(), made.Secret)
	return err
}

func (h *harness) must(k keys.Key, err error) keys.Key {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("got %v, want nil", err)
	}
	return k
}

func TestAnOwnKeySignsAndTheOperatorSeesWhy(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	if made := h.issue(time.Hour); made.IssuedBy != "AWS API" {
		t.Errorf("without a key: issued by %q, want the API", made.IssuedBy)
	}
	if why := h.router.Why(t.Context(), arn); !strings.Contains(why, "AWS API") {
		t.Errorf("why: got %q, want the API", why)
	}
	k := h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	made := h.issue(time.Hour)
	if made.IssuedBy != "own key "+k.ARN || h.accepted(made) != nil {
		t.Errorf("with a key: issued by %q, accepted: %v; want %s", made.IssuedBy,
			h.accepted(made), k.ARN)
	}
	if made.WHIPEndpoint != "https://global.whip.live-video.net" {
		t.Errorf("endpoint: got %s, want the global one", made.WHIPEndpoint)
	}
	if why := h.router.Why(t.Context(), arn); !strings.Contains(why, k.Name) {
		t.Errorf("why: got %q, want the key", why)
	}
	other, err := h.router.IssueToken(t.Context(), stage.TokenRequest{
		Stage: "arn:aws:ivs:us-west-2:999999999999:stage/x", Capabilities: stage.Publish,
		TTL: time.Hour,
	})
	if err != nil || other.IssuedBy != "AWS API" {
		t.Errorf("a stage of another account: got %q, %v; want the API", other.IssuedBy, err)
	}
	if _, err := h.keys.Add(t.Context(), region, keys.Source{}); !errors.Is(err,
		stage.ErrConflict) {
		t.Errorf("a second key: got %v, want a conflict", err)
	}
}

func TestThePrivateHalfIsInA0600FileOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	k := h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	h.issue(time.Hour)
	secret, err := os.ReadFile(filepath.Join(h.dir, k.Name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Split(string(secret), "\n")[2]
	filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if !d.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %o, want 600", path, info.Mode().Perm())
		}
		if text, _ := os.ReadFile(path); !strings.HasSuffix(path, ".pem") &&
			strings.Contains(string(text), body) {
			t.Errorf("%s holds the private key", path)
		}
		return nil
	})
	if info, _ := os.Stat(h.dir); info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: got mode %o, want 700", info.Mode().Perm())
	}
}

func TestRotationOverlaps(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	old := h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	before := h.issue(2 * time.Hour)
	// The Manager of the server keeps running while a command of another process rotates.
	command := keys.New(keys.Config{Dir: h.dir, AWS: h.aws, Now: h.clock.now})
	fresh := h.must(command.Rotate(t.Context(), region, keys.Source{}))
	after := h.issue(time.Hour)
	if after.IssuedBy != "own key "+fresh.ARN {
		t.Errorf("after the rotation: issued by %q, want %s", after.IssuedBy, fresh.ARN)
	}
	for _, made := range []stage.ParticipantToken{before, after} {
		if err := h.accepted(made); err != nil {
			t.Errorf("a token of %s: got %v, want that it is accepted", made.IssuedBy, err)
		}
	}
	h.clock.advance(2*time.Hour - 2*time.Second)
	if gone, err := h.keys.Tidy(t.Context()); err != nil || len(gone) != 0 {
		t.Errorf("while the last token lives: deleted %v, %v; want nothing", gone, err)
	}
	if err := h.accepted(before); err != nil {
		t.Errorf("two seconds before it expires: got %v, want that it is accepted", err)
	}
	h.clock.advance(15 * time.Minute)
	gone, err := h.keys.Tidy(t.Context())
	if err != nil || len(gone) != 1 || gone[0].Name != old.Name {
		t.Errorf("after the last token: deleted %v, %v; want %s", gone, err, old.Name)
	}
	if _, err := os.Stat(filepath.Join(h.dir, old.Name+".pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the old key: got %v, want that it is gone", err)
	}
	if len(h.aws.names) != 1 {
		t.Errorf("AWS holds %v, want the new key alone", h.aws.names)
	}
}

func TestRetiringGoesBackToTheAPI(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	made := h.issue(time.Hour)
	h.must(h.keys.Retire(t.Context(), region))
	if got := h.issue(time.Hour); got.IssuedBy != "AWS API" {
		t.Errorf("retired: issued by %q, want the API", got.IssuedBy)
	}
	if err := h.accepted(made); err != nil {
		t.Errorf("the token from before: got %v, want that it is accepted", err)
	}
	h.clock.advance(2 * time.Hour)
	if gone, err := h.keys.Tidy(t.Context()); err != nil || len(gone) != 1 {
		t.Errorf("Tidy: got %v, %v; want one key deleted", gone, err)
	}
}

func TestTheLimitOfThreeIsKnown(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	for _, name := range []string{"theirs", ""} {
		if _, err := h.aws.ImportPublicKey(t.Context(), region, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	_, err := h.keys.Rotate(t.Context(), region, keys.Source{})
	if !errors.Is(err, stage.ErrConflict) || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("a fourth key: got %v, want a refusal that names the three", err)
	}
	if list, _ := h.keys.List(t.Context()); len(list) != 1 || list[0].State != keys.StateActive {
		t.Errorf("keys: got %+v, want the active one, untouched", list)
	}
	if made := h.issue(time.Hour); h.accepted(made) != nil {
		t.Errorf("a token: got %v, want that it is accepted", h.accepted(made))
	}
}

func TestGivenKeysAreTakenInEveryForm(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, _ := x509.MarshalECPrivateKey(private)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(private)
	for kind, der := range map[string][]byte{"EC PRIVATE KEY": sec1, "PRIVATE KEY": pkcs8} {
		h := newHarness(t).start()
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		parsed, err := keys.ParsePEM(stage.NewSecret(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		h.must(h.keys.Add(t.Context(), region, keys.Source{Private: parsed}))
		if err := h.accepted(h.issue(time.Hour)); err != nil {
			t.Errorf("%s: got %v, want a token that is accepted", kind, err)
		}
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.MarshalECPrivateKey(p256)
	public, _ := x509.MarshalPKIXPublicKey(&private.PublicKey)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, text := range map[string]string{
		"nothing": "", "a text": "no key", "P-256": block("EC PRIVATE KEY", der),
		"a public key":     block("PUBLIC KEY", public),
		"a certificate":    block("CERTIFICATE", []byte("x")),
		"a damaged key":    block("PRIVATE KEY", sec1[:20]),
		"an encrypted key": block("ENCRYPTED PRIVATE KEY", []byte("x")),
	} {
		if _, err := keys.ParsePEM(stage.NewSecret(text)); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	h := newHarness(t).start()
	h.aws.kms = private
	k := h.must(h.keys.Add(t.Context(), region, keys.Source{KMS: "alias/stagedoor"}))
	if err := h.accepted(h.issue(time.Hour)); err != nil {
		t.Errorf("KMS: got %v, want a token that is accepted", err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, k.Name+".pem")); err == nil {
		t.Error("KMS: there is a file with a key, want none")
	}
	if !strings.HasPrefix(k.KMS, "arn:aws:kms:") {
		t.Errorf("KMS: the list says %q, want the ARN: an alias may be pointed at another key",
			k.KMS)
	}
}

// TestAKMSKeyThatSignsAlreadyIsReturned: a process that starts on a folder with the active key, as
// after a reset of a Lambda function's environment, finds that the key signs. Another key is
// refused, also if its alias was moved.
func TestAKMSKeyThatSignsAlreadyIsReturned(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t).start()
	h.aws.kms = private
	first := h.must(h.keys.Add(t.Context(), region, keys.Source{KMS: "alias/stagedoor"}))
	h.start()
	again := h.must(h.keys.Add(t.Context(), region, keys.Source{KMS: "alias/stagedoor"}))
	if again.Name != first.Name || again.ARN != first.ARN || again.State != keys.StateActive {
		t.Errorf("the same key again: got %+v, want %+v", again, first)
	}
	if list, _ := h.keys.List(t.Context()); len(list) != 1 || len(h.aws.names) != 1 {
		t.Errorf("keys: got %+v, at AWS %v, want one", list, h.aws.names)
	}
	for name, other := range map[string]keys.Source{
		"another key": {KMS: "alias/other"}, "a new key": {}, "a key in a file": {Private: private},
	} {
		if _, err := h.keys.Add(t.Context(), region, other); !errors.Is(err, stage.ErrConflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
}

// TestAKeyThatAWSHasIsAdopted: the public half was imported in the AWS console before, with another
// name and other line breaks.
func TestAKeyThatAWSHasIsAdopted(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	material, err := token.PublicPEM(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"import", "rotate"} {
		h := newHarness(t).start()
		if way == "rotate" {
			h.must(h.keys.Add(t.Context(), region, keys.Source{}))
		}
		there, err := h.aws.ImportPublicKey(t.Context(), region, "of the console",
			strings.ReplaceAll(string(material), "\n", "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		add := map[string]func(context.Context, string, keys.Source) (keys.Key,
			error){"import": h.keys.Add, "rotate": h.keys.Rotate}[way]
		if k := h.must(add(t.Context(), region, keys.Source{Private: private})); k.ARN != there ||
			k.State != keys.StateActive {
			t.Errorf("%s: got %+v, want the active key %s", way, k, there)
		}
		if err := h.accepted(h.issue(time.Hour)); err != nil {
			t.Errorf("%s: got %v, want a token that is accepted", way, err)
		}
		// If the same key were imported again, retiring the first entry would delete it at AWS.
		if _, err := h.keys.Rotate(t.Context(), region, keys.Source{Private: private}); !errors.Is(
			err, stage.ErrConflict) {
			t.Errorf("%s, then the same again: got %v, want a refusal", way, err)
		}
		if err := h.accepted(h.issue(time.Hour)); err != nil {
			t.Errorf("%s, after that: got %v, want a token that is accepted", way, err)
		}
	}
}

var errCut = stage.Errorf(stage.ErrUnavailable, "cut")

// TestAnInterruptedRotationGoesOn interrupts a rotation at every call to AWS, before and after the
// call takes effect. It copies the folder at that moment, as a killed process would leave it, and
// starts again with the copy.
func TestAnInterruptedRotationGoesOn(t *testing.T) {
	t.Parallel()
	reached := 0
	for cut := 1; cut <= 20; cut++ {
		for _, before := range []bool{true, false} {
			h := newHarness(t).start()
			h.must(h.keys.Add(t.Context(), region, keys.Source{}))
			old := h.issue(time.Hour)
			h.aws.calls = 0
			killed := filepath.Join(t.TempDir(), "keys")
			h.aws.broken = func(call int, early bool) error {
				if call != cut || early != before {
					return nil
				}
				if err := os.CopyFS(killed, os.DirFS(h.dir)); err != nil {
					t.Error(err)
				}
				protect(t, killed)
				return errCut
			}
			rotateAndTidy(h)
			if _, err := os.Stat(killed); err != nil {
				continue // a rotation has fewer calls
			}
			reached++
			h.aws.broken = nil
			h.dir = killed
			h.clock.ahead = 0 // so that the old key is not due for deletion yet
			h.start()
			checkWhole(t, fmt.Sprintf("cut at call %d, before=%v", cut, before), h, old)
		}
	}
	if reached < 10 {
		t.Errorf("the work was cut at %d places, want 10: at 5 calls, before and after", reached)
	}
}

func rotateAndTidy(h *harness) {
	if _, err := h.keys.Rotate(h.t.Context(), region, keys.Source{}); err != nil {
		return
	}
	h.clock.advance(2 * time.Hour)
	h.keys.Tidy(h.t.Context())
}

// protect restores the file modes in the copy, because CopyFS adds permissions.
func protect(t *testing.T, dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	})
}

// checkWhole checks the keys after an interruption and a restart. Every token must be accepted, and
// in the end there must be one key.
func checkWhole(t *testing.T, when string, h *harness, old stage.ParticipantToken) {
	t.Helper()
	h.keys.Tidy(t.Context())
	// Two keys at AWS mean that the old key was not deleted before the interruption.
	if len(h.aws.names) == 2 {
		if err := h.accepted(old); err != nil {
			t.Errorf("%s: the token from before: got %v, want that it is accepted", when, err)
		}
	}
	made := h.issue(time.Hour)
	if err := h.accepted(made); made.IssuedBy == "AWS API" || err != nil {
		t.Errorf("%s: a new token by %q: got %v, want that it is accepted", when,
			made.IssuedBy, err)
	}
	h.clock.advance(3 * time.Hour)
	if _, err := h.keys.Tidy(t.Context()); err != nil {
		t.Errorf("%s: Tidy: got %v, want nil", when, err)
	}
	list, err := h.keys.List(t.Context())
	if err != nil || len(list) != 1 || list[0].State != keys.StateActive || len(h.aws.names) != 1 ||
		h.aws.names[list[0].ARN] == "" {
		t.Errorf("%s: in the end: got %+v and %v at AWS, want one active key", when,
			list, h.aws.names)
	}
	files, _ := filepath.Glob(filepath.Join(h.dir, "*.pem"))
	if len(files) != 1 {
		t.Errorf("%s: files: got %v, want one", when, files)
	}
}

func TestManyTokensWhileKeysRotate(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 50 {
				if made := h.issue(time.Hour); h.accepted(made) != nil {
					t.Errorf("a token: got %v, want that it is accepted", h.accepted(made))
				}
			}
		})
	}
	g.Go(func() {
		if _, err := h.keys.Rotate(t.Context(), region, keys.Source{}); err != nil {
			t.Errorf("Rotate: got %v, want nil", err)
		}
		if _, err := h.keys.Tidy(t.Context()); err != nil {
			t.Errorf("Tidy: got %v, want nil", err)
		}
	})
	g.Wait()
}

// until waits for a condition that another goroutine makes true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestTheServerFinishesAnInterruptedRotationAtItsStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	old := h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	h.issue(time.Hour)
	h.aws.calls = 0
	h.aws.broken = func(call int, before bool) error {
		if call == 3 && !before { // let the response to the import be lost
			return errCut
		}
		return nil
	}
	if _, err := h.keys.Rotate(t.Context(), region, keys.Source{}); err == nil {
		t.Fatal("the rotation was not cut")
	}
	h.aws.broken = nil
	h.clock.advance(2 * time.Hour)
	h.start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.keys.Run(ctx) }()
	until(t, "the new key signs and the old one is deleted", func() bool {
		list, err := h.keys.List(t.Context())
		return err == nil && len(list) == 1 && list[0].State == keys.StateActive &&
			list[0].Name != old.Name
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

// TestTheKeyThatIsGivenIsTheKeyThatSigns: a change was interrupted after its import. The next call
// finishes it. If that call gives another key, Rotate rotates to the given key, and Add refuses it.
func TestTheKeyThatIsGivenIsTheKeyThatSigns(t *testing.T) {
	t.Parallel()
	one, two := newPrivate(t), newPrivate(t)
	for _, c := range []struct {
		name               string
		interrupted, given keys.Source
		same               bool
	}{
		{"create twice", keys.Source{}, keys.Source{}, true},
		{"create, import", keys.Source{}, keys.Source{Private: two}, false},
		{"import, create", keys.Source{Private: one}, keys.Source{}, false},
		{"import twice", keys.Source{Private: one}, keys.Source{Private: one}, true},
		{"import, import", keys.Source{Private: one}, keys.Source{Private: two}, false},
		{"import, KMS", keys.Source{Private: one}, keys.Source{KMS: "alias/k"}, false},
		{"KMS twice", keys.Source{KMS: "alias/k"}, keys.Source{KMS: "alias/k"}, true},
		{"KMS, create", keys.Source{KMS: "alias/k"}, keys.Source{}, false},
	} {
		for _, way := range []string{"add", "rotate"} {
			h := newHarness(t).start()
			h.aws.kms = two
			change := h.keys.Add
			if way == "rotate" {
				h.must(h.keys.Add(t.Context(), region, keys.Source{}))
				change = h.keys.Rotate
			}
			before := len(h.aws.names)
			h.aws.broken = func(_ int, early bool) error {
				if !early && len(h.aws.names) > before {
					return errCut
				}
				return nil
			}
			if _, err := change(t.Context(), region, c.interrupted); err == nil {
				t.Fatalf("%s, %s: the import was not cut", c.name, way)
			}
			h.aws.broken = nil
			k, err := change(t.Context(), region, c.given)
			if way == "add" && !c.same {
				if !errors.Is(err, stage.ErrConflict) {
					t.Errorf("%s, %s: got %+v, %v; want a conflict", c.name, way, k, err)
				}
				continue
			}
			if err != nil || k.State != keys.StateActive || !h.is(k, c.given) {
				t.Errorf("%s, %s: got %+v, %v; want the given key, active", c.name, way, k, err)
			}
			want := before + 1
			if !c.same {
				want++
			}
			if len(h.aws.names) != want {
				t.Errorf("%s, %s: AWS holds %v, want %d", c.name, way, h.aws.names, want)
			}
		}
	}
}

// The method `is` reports whether AWS has the public half of the given key under the ARN of k. If a
// key in AWS KMS or no key was given, it compares only the kind: in AWS KMS, or created here.
func (h *harness) is(k keys.Key, given keys.Source) bool {
	if given.Private == nil {
		return k.Imported == (given.KMS != "") && (k.KMS != "") == (given.KMS != "")
	}
	there, err := h.aws.keyring().PublicKey(h.t.Context(), k.ARN)
	return err == nil && given.Private.PublicKey.Equal(there)
}

func newPrivate(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// TestAnUnfinishedKeyBlocksNoOtherKey: a rotation is interrupted before its import, and
// another program imports the last key that the quota allows. After a restart, other keys are not
// blocked.
func TestAnUnfinishedKeyBlocksNoOtherKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	active := h.must(h.keys.Rotate(t.Context(), region, keys.Source{}))
	h.aws.calls = 0
	h.aws.broken = func(call int, before bool) error {
		if call == 3 && before {
			return errCut
		}
		return nil
	}
	if _, err := h.keys.Rotate(t.Context(), region, keys.Source{}); err == nil {
		t.Fatal("the rotation was not cut")
	}
	h.aws.broken = nil
	if _, err := h.aws.ImportPublicKey(t.Context(), region, "theirs", "x"); err != nil {
		t.Fatal(err)
	}
	h.clock.advance(2 * time.Hour)
	if gone, err := h.start().keys.Tidy(t.Context()); err != nil || len(gone) != 1 {
		t.Errorf("Tidy: deleted %v, %v; want the retiring key", gone, err)
	}
	if list, _ := h.keys.List(t.Context()); len(list) != 1 || list[0].Name != active.Name {
		t.Errorf("keys: got %+v, want the active one alone", list)
	}
	if files, _ := filepath.Glob(filepath.Join(h.dir, "*.pem")); len(files) != 1 {
		t.Errorf("files: got %v, want that of the active key alone", files)
	}
}

// TestAnUnfinishedKeyStaysInItsRegion: an unfinished key in a region that does not answer does not
// block the keys of another region.
func TestAnUnfinishedKeyStaysInItsRegion(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	h.aws.broken = func(call int, before bool) error {
		if call == 2 && before { // fail before the import, so that the key is unfinished
			return errCut
		}
		return nil
	}
	if _, err := h.keys.Add(t.Context(), "eu-west-1", keys.Source{}); !errors.Is(err,
		stage.ErrUnavailable) {
		t.Fatalf("a region that stops to answer: got %v, want that it is unavailable", err)
	}
	h.aws.broken, h.aws.down = nil, "eu-west-1"
	h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	h.must(h.keys.Rotate(t.Context(), region, keys.Source{}))
	if _, err := h.keys.Rotate(t.Context(), "eu-west-1", keys.Source{}); !errors.Is(err,
		stage.ErrUnavailable) {
		t.Errorf("the region of the unfinished key: got %v, want that it is unavailable", err)
	}
	if k := h.must(h.keys.Retire(t.Context(), "eu-west-1")); k.State != keys.StateGivenUp {
		t.Errorf("retired: got %+v, want that it is given up", k)
	}
	list, err := h.keys.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Region != region || list[1].Region != region {
		t.Errorf("keys: got %+v, %v; want those of %s", list, err, region)
	}
	if files, _ := filepath.Glob(filepath.Join(h.dir, "*.pem")); len(files) != 2 {
		t.Errorf("files: got %v, want none of the key that was given up", files)
	}
}

// TestRetiringAnUnfinishedKeyFreesItsPlace: the response to an import was lost, so AWS has the
// public half. Retiring the key deletes it at AWS.
func TestRetiringAnUnfinishedKeyFreesItsPlace(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	h.aws.broken = func(call int, before bool) error {
		if call == 3 && !before {
			return errCut
		}
		return nil
	}
	if _, err := h.keys.Add(t.Context(), region, keys.Source{}); err == nil ||
		len(h.aws.names) != 1 {
		t.Fatalf("the import: got %v and %v at AWS, want it cut when it was done", err, h.aws.names)
	}
	h.aws.broken = nil
	h.must(h.keys.Retire(t.Context(), region))
	if list, err := h.keys.List(t.Context()); err != nil || len(list) != 0 ||
		len(h.aws.names) != 0 {
		t.Errorf("keys: got %+v, %v, and %v at AWS; want none", list, err, h.aws.names)
	}
}

func TestTheAPIStepsInForAKeyThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	h := newHarness(t).start()
	k := h.must(h.keys.Add(t.Context(), region, keys.Source{}))
	if err := os.Remove(filepath.Join(h.dir, k.Name+".pem")); err != nil {
		t.Fatal(err)
	}
	h.start() // use a new Manager, since the earlier one has the key in memory
	if made := h.issue(time.Hour); made.IssuedBy != "AWS API" {
		t.Errorf("issued by %q, want the API", made.IssuedBy)
	}
	if why := h.router.Why(t.Context(), arn); !strings.Contains(why, "cannot be used") ||
		!strings.Contains(why, k.Name) {
		t.Errorf("why: got %q, want the key that cannot be used", why)
	}
}
