package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const deploy = "../../deploy"

// TestManifestsFitTheKubernetesAPI: every field is one of the API's types, and the pod has no
// rights that it does not need.
func TestManifestsFitTheKubernetesAPI(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() any{
		"PersistentVolumeClaim": func() any { return &corev1.PersistentVolumeClaim{} },
		"Deployment":            func() any { return &appsv1.Deployment{} },
		"Service":               func() any { return &corev1.Service{} },
		"Ingress":               func() any { return &networkingv1.Ingress{} },
	}
	found := map[string]any{}
	for _, document := range documents(t, filepath.Join(deploy, "kubernetes/stagedoor.yaml")) {
		var about metav1.TypeMeta
		if err := yaml.Unmarshal(document, &about); err != nil {
			t.Fatal(err)
		}
		make := kinds[about.Kind]
		if make == nil {
			t.Fatalf("an object of the kind %q", about.Kind)
		}
		object := make()
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %v", about.Kind, err)
		}
		found[about.Kind] = object
	}
	if len(found) != len(kinds) {
		t.Fatalf("got the kinds %v", found)
	}
	pod := found["Deployment"].(*appsv1.Deployment).Spec.Template.Spec
	service := found["Service"].(*corev1.Service).Spec
	labels := found["Deployment"].(*appsv1.Deployment).Spec.Template.Labels
	for name, value := range service.Selector {
		if labels[name] != value {
			t.Errorf("the service selects %s=%s, the pod has %q", name, value, labels[name])
		}
	}
	c := pod.Containers[0]
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != user || !*c.SecurityContext.ReadOnlyRootFilesystem ||
		*pod.EnableServiceLinks || c.SecurityContext.Capabilities.Drop[0] != "ALL" {
		t.Errorf("the pod has more rights than it needs: %+v, %+v", pod.SecurityContext, c.SecurityContext)
	}
	var names []string
	for _, variable := range c.Env {
		names = append(names, variable.Name)
	}
	knownVariables(t, names)
}

// TestComposeFile: the schema of compose holds, and every variable is one of Stagedoor's.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{filepath.Join(deploy, "compose/compose.yaml")}, cli.WithEnv([]string{
		"STAGEDOOR_VERSION=v1.2.3", "STAGEDOOR_DOMAIN=stage.example.com", "STAGEDOOR_ADDRESS=203.0.113.7", "POSTGRES_PASSWORD=secret",
	}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := project.ServiceNames(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"caddy", "postgres", "stagedoor"}) {
		t.Errorf("got the services %v", got)
	}
	var names []string
	for name := range project.Services["stagedoor"].Environment {
		names = append(names, name)
	}
	knownVariables(t, names)
	if _, err := os.Stat(filepath.Join(deploy, "proxy/Caddyfile")); err != nil {
		t.Error("the compose file mounts a Caddyfile that is not there")
	}
	example, err := os.ReadFile(filepath.Join(deploy, "compose/.env.example"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(deploy, "compose/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllSubmatch(text, -1) {
		if !bytes.Contains(example, append([]byte("\n"), append(match[1], '=')...)) {
			t.Errorf(".env.example lacks %s", match[1])
		}
	}
}

// knownVariables compares with the settings that docs/operate.md lists, which a test of the program
// renders from the flags.
func knownVariables(t *testing.T, names []string) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !bytes.Contains(manual, []byte("`"+name+"`")) {
			t.Errorf("there is no variable %s", name)
		}
	}
}

// TestUnitIsHardened by the measure of systemd, and starts what the package installs.
func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	const unit = deploy + "/systemd/stagedoor.service"
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("ExecStart=/usr/bin/stagedoor serve --config /etc/stagedoor/stagedoor.yaml\n")) {
		t.Error("the unit does not start what the package installs")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is not on this machine: `make test` installs it")
	}
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager", unit).Output()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v", err)
	}
	score := regexp.MustCompile(`exposure level for stagedoor.service: ([0-9.]+)`).FindSubmatch(said)
	if score == nil {
		t.Fatalf("systemd-analyze says no score: %s", said)
	}
	if level, err := strconv.ParseFloat(string(score[1]), 64); err != nil || level > 2.0 {
		t.Errorf("systemd-analyze security: got %s, want at most 2.0", score[1])
	}
}

// TestMaintainerScriptsAreShell, of the kind that Debian and RPM run.
func TestMaintainerScriptsAreShell(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob(deploy + "/package/*install.*")
	if err != nil {
		t.Fatal(err)
	}
	removals, err := filepath.Glob(deploy + "/package/*remove.*")
	if err != nil {
		t.Fatal(err)
	}
	scripts = append(scripts, removals...)
	if len(scripts) != 8 {
		t.Errorf("got the scripts %v", scripts)
	}
	for _, script := range scripts {
		if said, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, said)
		}
	}
}

func documents(t *testing.T, path string) (list [][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(document)) != "" {
			list = append(list, document)
		}
	}
}
