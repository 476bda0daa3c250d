package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/awslabs/goformation/v7/intrinsics"
	"github.com/awslabs/goformation/v7/schema"
	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/santhosh-tekuri/jsonschema/v6"
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

// knownVariables compares with the settings that the documents list; a test of the program renders
// those of docs/operate.md from the flags.
func knownVariables(t *testing.T, names []string) {
	t.Helper()
	var manual []byte
	for _, name := range []string{"operate.md", "lambda.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		manual = append(manual, text...)
	}
	for _, name := range names {
		if !bytes.Contains(manual, []byte("`"+name+"`")) {
			t.Errorf("there is no variable %s", name)
		}
	}
}

// TestTemplateOfTheFunction: the resources fit the schema of AWS SAM, the function may do no more
// than docs/ivs.md explains, and every variable is one of Stagedoor's.
func TestTemplateOfTheFunction(t *testing.T) {
	t.Parallel()
	resources := template(t)
	schemas := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.SamSchema))
	if err != nil {
		t.Fatal(err)
	}
	if err := schemas.AddResource("sam.json", document); err != nil {
		t.Fatal(err)
	}
	for name, resource := range resources {
		kind, _ := resource.(map[string]any)["Type"].(string)
		rules, err := schemas.Compile("sam.json#/definitions/" + kind)
		if err != nil {
			t.Fatalf("%s, %s: %v", name, kind, err)
		}
		if err := rules.Validate(resource); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := json.Marshal(resources["Function"])
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/ivs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range regexp.MustCompile(`"(ivs|kms):[A-Za-z*]+"`).FindAll(text, -1) {
		if name := strings.Trim(string(action), `"`); !bytes.Contains(guide, []byte("`"+name+"`")) {
			t.Errorf("docs/ivs.md does not explain the action %s", name)
		}
	}
	var names []string
	for _, name := range regexp.MustCompile(`STAGEDOOR_[A-Z_]+`).FindAll(text, -1) {
		names = append(names, string(name))
	}
	if len(names) < 2 {
		t.Errorf("got the variables %v", names)
	}
	knownVariables(t, names)
}

// template returns the resources of the template of AWS SAM, its parameters filled in.
func template(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "aws/template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(string, any, any) any { return "arn:aws:example:us-west-2:123456789012:one" }
	text, err = intrinsics.ProcessYAML(text, &intrinsics.ProcessorOptions{
		IntrinsicHandlerOverrides: map[string]intrinsics.IntrinsicHandler{"Fn::GetAtt": attribute},
		ParameterOverrides: map[string]any{
			"DatabaseSecret": "arn:aws:secretsmanager:us-west-2:123456789012:secret:database",
			"PublicURL":      "https://stage.example.com",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Resources map[string]any }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return withoutNothing(document.Resources).(map[string]any)
}

// withoutNothing drops what refers to AWS::NoValue.
func withoutNothing(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key] = withoutNothing(value); v[key] == nil {
				delete(v, key)
			}
		}
	case []any:
		kept := v[:0]
		for _, value := range v {
			if value = withoutNothing(value); value != nil {
				kept = append(kept, value)
			}
		}
		return kept
	}
	return v
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
