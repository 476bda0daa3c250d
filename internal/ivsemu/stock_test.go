package ivsemu_test

import (
	"context"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// withMedia gives an emulator a real media plane.
func withMedia(t testing.TB, e *ivsemu.Emulator) {
	t.Helper()
	plane, err := sfu.New(sfu.Config{
		Listen: "127.0.0.1:0", Events: e.Observe,
		LimitsFor: func(stage.ARN) sfu.Limits {
			l := sfu.DefaultLimits()
			l.Enforce = true
			return l
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Media = plane
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- plane.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("media: got %v, want nil", err)
		}
	})
}

// program runs a Node program with the stock client, which finds the emulator by environment
// variables alone.
func program(t *testing.T, base, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{quick.Runs(t, "stock/"+file)},
		args...)...)
	cmd.Env = append(os.Environ(),
		"AWS_ENDPOINT_URL_IVS_REALTIME="+base, "AWS_ACCESS_KEY_ID="+accessKey,
		"AWS_SECRET_ACCESS_KEY="+secretKey)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v (make install brings Node and the client)\n%s%s", file, err,
			out, &complaints)
	}
	return strings.TrimSpace(string(out))
}

func TestThePlainNodeProgramGetsATokenThatPublishes(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	withMedia(t, e)
	s := newStage(t, client(base, "us-west-2"), "main")
	token := program(t, base, "token.mjs", *s.Arn)
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(e.WHIPEndpoint(), token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Errorf("publish: got %v, want nil", err)
	}
}

func TestEveryOperationOfTheNodeClient(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	withMedia(t, e)
	c := client(base, "us-west-2")
	played := newStage(t, c, "played")
	made, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: played.Arn,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := rtcpeer.Publish(t, rtcpeer.HTTP(e.WHIPEndpoint(), *made.ParticipantToken.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, material := newKey(t)
	if got := program(t, base, "operations.mjs", material, *played.Arn); !strings.HasPrefix(got,
		"all is well") {
		t.Errorf("got %q, want that all is well", got)
	}
	select {
	case <-p.Closed():
	case <-time.After(10 * time.Second):
		t.Error("DisconnectParticipant: the connection is up, want it closed")
	}
}

// TestEveryOperationOfTheGoClient calls every operation of the client. Each call succeeds or
// returns an error of the model. Operations that the emulator does not support return
// NotEmulatedException.
func TestEveryOperationOfTheGoClient(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := reflect.ValueOf(client(base, "us-west-2"))
	operations := 0
	for i := range c.NumMethod() {
		name, call := c.Type().Method(i).Name, c.Method(i)
		if name == "Options" {
			continue
		}
		operations++
		in := reflect.New(call.Type().In(1).Elem())
		fill(in.Elem())
		err, _ := call.Call([]reflect.Value{reflect.ValueOf(t.Context()),
			in})[1].Interface().(error)
		got, status := code(err)
		switch {
		case err == nil:
		case got == "NotEmulatedException" && status == 501:
			if !strings.Contains(name, "Composition") &&
				!strings.Contains(name, "EncoderConfiguration") &&
				!strings.Contains(name, "StorageConfiguration") &&
				!strings.Contains(name, "ParticipantReplication") {
				t.Errorf("%s is not there", name)
			}
		case (got == "ValidationException" && status == 400) ||
			(got == "ResourceNotFoundException" && status == 404):
		default:
			t.Errorf("%s: got %v, want an answer or an error of the model", name, err)
		}
	}
	if operations < 39 {
		t.Errorf("got %d operations, want all 39 of the client", operations)
	}
}

// fill sets every member of an input, so that no required member is missing.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			if e := f.Elem(); e.Kind() == reflect.Struct {
				fill(e)
			} else if e.Kind() == reflect.String {
				e.SetString(example(name))
			}
		case reflect.String:
			if name == "IngestProtocol" {
				f.SetString("RTMPS")
			}
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			if e := f.Index(0); e.Kind() == reflect.Struct {
				fill(e)
			} else if e.Kind() == reflect.String {
				e.SetString("x")
			}
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]string{"x": "y"}))
		}
	}
}

func example(name string) string {
	if strings.HasSuffix(name, "Arn") {
		return "arn:aws:ivs:us-west-2:123456789012:stage/abcdefgh"
	}
	return "x"
}
