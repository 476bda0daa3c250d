package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/goformation/v7/intrinsics"
	"github.com/awslabs/goformation/v7/schema"
	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const deploy = "../../deploy"

// TestManifestsFitTheKubernetesAPI: every field of the manifests exists in the types of the
// Kubernetes API, and the pod has no rights that it does not need.
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
		t.Fatalf("got the kinds %v, want one object of each kind", found)
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
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != user ||
		!*c.SecurityContext.ReadOnlyRootFilesystem ||
		*pod.EnableServiceLinks || c.SecurityContext.Capabilities.Drop[0] != "ALL" {
		t.Errorf("the pod has more rights than it needs: %+v, %+v", pod.SecurityContext,
			c.SecurityContext)
	}
	var names []string
	for _, variable := range c.Env {
		names = append(names, variable.Name)
	}
	knownVariables(t, names)
}

// TestComposeFile: compose.yaml fits the schema of Docker Compose, and every variable is a setting
// of Stagedoor.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	project := compose(t, "compose.yaml")
	if got := slices.Sorted(slices.Values(project.ServiceNames())); !slices.Equal(got,
		[]string{"caddy", "postgres", "stagedoor"}) {
		t.Errorf("got the services %v, want caddy, postgres and stagedoor", got)
	}
	knownVariables(t, variables(project.Services["stagedoor"]))
}

// TestComposeFileOfReplicas: each replica has its own URL, media port and data folder, and enough
// time to drain. All replicas share the folder of own keys, and their only secret is the local key.
// nginx has the addresses of all replicas.
func TestComposeFileOfReplicas(t *testing.T) {
	t.Parallel()
	project := compose(t, "compose.replicas.yaml")
	replicas := []string{"replica1", "replica2", "replica3"}
	if got := slices.Sorted(slices.Values(project.ServiceNames())); !slices.Equal(got,
		append([]string{"nginx", "postgres"}, replicas...)) {
		t.Errorf("got the services %v, want nginx, postgres and the replicas", got)
	}
	var upstream []string
	own := map[string]bool{}
	alone := func(name, what string) {
		t.Helper()
		if own[what] || what == "" {
			t.Errorf("%s: %q is not its own", name, what)
		}
		own[what] = true
	}
	for _, name := range replicas {
		s := project.Services[name]
		knownVariables(t, variables(s))
		setting := func(variable string) string { return *s.Environment["STAGEDOOR_"+variable] }
		if got, want := setting("PEER_URL"),
			"https://"+name+":8444"; got != want || setting("PEER_LISTEN") != "0.0.0.0:8444" {
			t.Errorf("%s: got the peer URL %s, want %s", name, got, want)
		}
		if port := s.Ports[0]; len(s.Ports) != 1 ||
			port.Published != strconv.Itoa(int(port.Target)) ||
			setting("MEDIA") != "0.0.0.0:"+port.Published || port.Protocol != "udp" {
			t.Errorf("%s: media is at %s, and %s is open", name, setting("MEDIA"), port.Published)
		}
		alone(name, setting("MEDIA"))
		volumes := map[string]string{}
		for _, v := range s.Volumes {
			volumes[v.Target] = v.Source
		}
		alone(name, volumes["/data"])
		if volumes["/data/keys"] != "keys" {
			t.Errorf("%s does not share the folder of own keys: %v", name, volumes)
		}
		if got := setting("LOCAL_KEY"); len(s.Secrets) != 1 || s.Secrets[0].Source != "local-key" ||
			got != "/run/secrets/local-key" {
			t.Errorf("%s: got the key %s, want the file of the only secret, local-key", name, got)
		}
		drain, err := time.ParseDuration(setting("DRAIN"))
		if err != nil || time.Duration(*s.StopGracePeriod) < drain+20*time.Second {
			t.Errorf("%s: %v are too short for a drain of %v (%v)", name, s.StopGracePeriod, drain,
				err)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true") ||
			setting("TRUSTED_PROXIES") != address(project, "nginx") {
			t.Errorf("%s has more rights than it needs, or trusts others than nginx", name)
		}
		upstream = append(upstream, address(project, name)+":8080")
	}
	config, err := os.ReadFile(filepath.Join(deploy, "proxy/nginx.replicas.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for _, server := range regexp.MustCompile(`(?m)^\s*server ([0-9.:]+) `).FindAllSubmatch(config, -1) {
		passed = append(passed, string(server[1]))
	}
	if !slices.Equal(passed, upstream) {
		t.Errorf("nginx passes on to %v, the replicas are %v", passed, upstream)
	}
	checkNginx(t, string(config))
}

// checkNginx lets nginx check a config file, with certificates and addresses of the test.
func checkNginx(t *testing.T, config string) {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Fatal("nginx is not on this machine: `make test` installs it")
	}
	folder := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"stage.example.com"}}
	certificate, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	config = regexp.MustCompile(`listen \d+`).ReplaceAllStringFunc(config, func(string) string {
		sockets++
		return fmt.Sprintf("listen unix:%s/%d", folder, sockets)
	})
	if sockets != 2 {
		t.Errorf("nginx listens at %d ports, want those of HTTP and HTTPS", sockets)
	}
	for name, text := range map[string][]byte{
		"fullchain.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"privkey.pem": pem.EncodeToMemory(
			&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"nginx.conf": []byte("pid " + folder + "/pid; events {} http { access_log off;\n" +
			strings.ReplaceAll(config, "/etc/nginx/certificates", folder) + "}"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said, err := exec.CommandContext(t.Context(), "nginx", "-t", "-q", "-e", "stderr",
		"-c", filepath.Join(folder, "nginx.conf")).CombinedOutput()
	if err != nil {
		t.Errorf("nginx -t: %v: %s", err, said)
	}
}

// compose reads a compose file. It checks that the mounted files exist, and that .env.example has
// the variables of the compose file.
func compose(t *testing.T, file string) *types.Project {
	t.Helper()
	folder := filepath.Join(deploy, "compose")
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, file)},
		cli.WithEnv([]string{
			"STAGEDOOR_VERSION=v1.2.3", "STAGEDOOR_DOMAIN=stage.example.com",
			"STAGEDOOR_ADDRESS=203.0.113.7",
			"STAGEDOOR_CERTIFICATES=./certificates", "POSTGRES_PASSWORD=secret",
		}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, mounted := range regexp.MustCompile(`- (\.\./[^:]+):`).FindAllSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(folder, string(mounted[1]))); err != nil {
			t.Errorf("%s mounts a file that is not there: %v", file, err)
		}
	}
	example, err := os.ReadFile(filepath.Join(folder, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllSubmatch(text, -1) {
		if !bytes.Contains(example, append([]byte("\n"), append(match[1], '=')...)) {
			t.Errorf(".env.example lacks %s", match[1])
		}
	}
	return project
}

func variables(s types.ServiceConfig) (names []string) {
	for name := range s.Environment {
		names = append(names, name)
	}
	return names
}

// address returns the address of a service in the network of a compose file.
func address(project *types.Project, service string) string {
	return project.Services[service].Networks["inside"].Ipv4Address
}

// knownVariables checks that docs/operate.md or docs/lambda.md lists each of these environment
// variables. Another test compares docs/operate.md with the flags.
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

// TestTemplateOfTheFunction: the resources fit the schema of AWS SAM, both in a VPC and without
// one. The Lambda function has only the permissions that docs/ivs.md explains, every variable is a
// setting of Stagedoor, and docs/lambda.md shows every parameter.
func TestTemplateOfTheFunction(t *testing.T) {
	t.Parallel()
	checkTemplate(t, nil)
	inVPC := map[string]any{
		"Subnets": []any{"subnet-1", "subnet-2"}, "SecurityGroups": []any{"sg-1"},
	}
	resources := checkTemplate(t, inVPC)
	text, err := json.Marshal(resources["Function"])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(`"SubnetIds"`)) {
		t.Errorf("in a VPC, the function has no subnets: %s", text)
	}
}

// checkTemplate checks the template with some of its parameters, and returns its resources.
func checkTemplate(t *testing.T, parameters map[string]any) (resources map[string]any) {
	t.Helper()
	resources = template(t, parameters)
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
		t.Errorf("got only the variables %v", names)
	}
	knownVariables(t, names)
	return resources
}

// template returns the resources of the template of AWS SAM with its parameters filled in.
func template(t *testing.T, parameters map[string]any) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "aws/template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/lambda.md")
	if err != nil {
		t.Fatal(err)
	}
	var raw struct{ Parameters map[string]any }
	// Unmarshal does not know the short forms of CloudFormation's functions, such as !Ref.
	if err := yaml.Unmarshal(regexp.MustCompile(`!\w+ `).ReplaceAll(text, nil), &raw); err != nil {
		t.Fatal(err)
	}
	if len(raw.Parameters) < 4 {
		t.Errorf("got only the parameters %v", raw.Parameters)
	}
	for name := range raw.Parameters {
		if !bytes.Contains(guide, []byte(name+"=")) {
			t.Errorf("docs/lambda.md does not show the parameter %s", name)
		}
	}
	attribute := func(string, any, any) any { return "arn:aws:example:us-west-2:123456789012:one" }
	overrides := map[string]any{
		"DatabaseSecret": "arn:aws:secretsmanager:us-west-2:123456789012:secret:database",
		"PublicURL":      "https://stage.example.com",
		"Subnets":        []any{""}, // as CloudFormation reads the default
	}
	maps.Copy(overrides, parameters)
	text, err = intrinsics.ProcessYAML(text, &intrinsics.ProcessorOptions{
		IntrinsicHandlerOverrides: map[string]intrinsics.IntrinsicHandler{"Fn::GetAtt": attribute},
		ParameterOverrides:        overrides, EvaluateConditions: true,
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

// withoutNothing removes nil values, which stand for AWS::NoValue.
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

// TestUnitIsHardened: `systemd-analyze security` rates the unit as well protected. The unit starts
// the program that the package installs.
func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	const unit = deploy + "/systemd/stagedoor.service"
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text,
		[]byte("ExecStart=/usr/bin/stagedoor serve --config /etc/stagedoor/stagedoor.yaml\n")) {
		t.Error("the unit does not start what the package installs")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is not on this machine: `make test` installs it")
	}
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes",
		"--no-pager", unit).Output()
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

// TestMaintainerScriptsAreShell: the maintainer scripts of the packages have no syntax errors.
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
		t.Errorf("got the scripts %v, want 8", scripts)
	}
	for _, script := range scripts {
		if said, err := exec.CommandContext(t.Context(), "sh", "-n",
			script).CombinedOutput(); err != nil {
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
