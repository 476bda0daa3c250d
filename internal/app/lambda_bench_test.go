package app_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
)

// BenchmarkLambdaColdStart measures the time from the start of a function's process to the response
// to its first request, on an existing database. The baseline is the same request to a running
// instance. The metric zip-MB is the size of the upload to Lambda.
func BenchmarkLambdaColdStart(b *testing.B) {
	database := &pg.Server{}
	b.Cleanup(database.Stop)
	bootstrap := filepath.Join(b.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w",
		"-o", bootstrap, "../../cmd/stagedoor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, said)
	}
	rie := buildLambdaRIE(b)
	env := []string{
		"AWS_REGION=us-west-2", "STAGEDOOR_DATABASE=" + database.Database(b),
		"STAGEDOOR_IVS_ENDPOINT=http://127.0.0.1:1",
	}
	var cold, warm time.Duration
	for b.Loop() {
		f := newLambdaFront(b, startInstance(b, rie, bootstrap, env, &replicas.Lines{}))
		c := apptest.NewClient(b, f.url, f.roots)
		begin := time.Now()
		c.Do("GET", "/healthz", nil) // the first request starts the process
		cold += time.Since(begin)
		begin = time.Now()
		c.Do("GET", "/healthz", nil)
		warm += time.Since(begin)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(cold.Milliseconds())/float64(b.N), "first-answer-ms")
	b.ReportMetric(float64(cold)/float64(warm), "×warm")
	b.ReportMetric(zippedMB(b, bootstrap), "zip-MB")
}

func zippedMB(b *testing.B, path string) float64 {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	f, err := z.Create("bootstrap")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(f, bytes.NewReader(text)); err != nil {
		b.Fatal(err)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(out.Len()) / 1e6
}
