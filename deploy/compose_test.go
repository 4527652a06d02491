// Package deploy_test holds the files of this directory, and the compose file above it, to what
// they say: by the Compose specification's own loader and by real servers.
package deploy_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithoutEnvironmentResolution, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("the Compose specification's loader refuses docker-compose.yml: %v", err)
	}
	return project
}

func TestComposeLoads(t *testing.T) {
	project := loadCompose(t)
	images := map[string]string{"kafka": "apache/kafka:4.3.", "mysql": "mysql:9.7", "postgres": "postgres:15"}
	for name, image := range images {
		service, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(service.Image, image) {
			t.Errorf("%s runs %s, tested is %s", name, service.Image, image)
		}
		if service.HealthCheck == nil || len(service.Volumes) == 0 {
			t.Errorf("%s has no health check or keeps nothing", name)
		}
	}
	for name, of := range map[string]struct{ runs, secrets, waitsFor string }{
		"cdc":            {"cdc run", "shop_cdc", "kafka mysql"},
		"cdc-erp":        {"cdc run erp", "erp_cdc", "kafka postgres"},
		"applier":        {"applier run intake", "erp_applier", "kafka postgres"},
		"applier-ledger": {"applier run ledger", "erp_applier shop_cdc", "kafka postgres"},
		"applier-stock":  {"applier run stock", "shop_writer", "kafka mysql"},
		"applier-orders": {"applier run orders", "erp_applier shop_writer", "kafka mysql postgres"},
		"applier-mail":   {"applier run mail", "erp_applier smtp", "kafka postgres"},
	} {
		service, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if runs := strings.Join(append(service.Entrypoint, service.Command...), " "); runs != of.runs+" --config /etc/spola/spola.yaml" {
			t.Errorf("%s runs %q", name, runs)
		}
		var secrets []string
		for _, s := range service.Secrets {
			secrets = append(secrets, s.Source)
		}
		slices.Sort(secrets)
		if got := strings.Join(secrets, " "); got != of.secrets {
			t.Errorf("%s has the passwords %q, it needs %q", name, got, of.secrets)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(service.DependsOn)), " "); got != of.waitsFor {
			t.Errorf("%s waits for %q, it needs %q", name, got, of.waitsFor)
		}
		if service.Build == nil || service.Build.Dockerfile != "deploy/Containerfile" {
			t.Errorf("%s is not built from deploy/Containerfile", name)
		}
		for on, dependency := range service.DependsOn {
			if dependency.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s does not wait until %s is healthy", name, on)
			}
		}
		if !strings.HasPrefix(service.Restart, "on-failure:") {
			t.Errorf("%s restarts %q: a fenced process that always restarts pushes out the newer one", name, service.Restart)
		}
	}
}

// A password in the environment of a service shows in `docker inspect` and in every child.
func TestComposeKeepsSecretsInFiles(t *testing.T) {
	project := loadCompose(t)
	for name, secret := range project.Secrets {
		if secret.File == "" {
			t.Errorf("secret %s is no file", name)
		}
	}
	for name, service := range project.Services {
		for variable := range service.Environment {
			if strings.Contains(variable, "PASSWORD") && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s has a password in its environment: %s", name, variable)
			}
		}
	}
	ignored, err := os.ReadFile("../.dockerignore")
	if err != nil || !strings.Contains(string(ignored), "deploy/secrets\n") {
		t.Errorf("secrets would go into the image's build: %v", err)
	}
}
