package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"
)

// testPackage is a package that has tests.
type testPackage struct {
	path   string // of its import
	dir    string
	memory bool // has tests named TestMemory…
}

// job is one test binary to run.
type job struct {
	name   string // the package, short, and "plain" where it is the second build
	source string // directory of the package
	dir    string // the same, or its copy that the tests' user can read
	binary string
	args   []string
	bin    string // directory of the programs that its tests may start
	failed string // why it could not be built
}

// tryCompiler compiles something that needs a C compiler and its library.
func tryCompiler(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("ask go for its C compiler: %w", err)
	}
	cc := strings.Fields(string(out))
	if len(cc) == 0 {
		return fmt.Errorf("go knows no C compiler")
	}
	cmd := exec.CommandContext(ctx, cc[0], append(cc[1:], "-x", "c", "-", "-o", os.DevNull)...)
	cmd.Stdin = strings.NewReader("#include <stdlib.h>\nint main(void) { return 0; }\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, bytes.TrimSpace(out))
	}
	return nil
}

var memoryTest = regexp.MustCompile(`(?m)^func TestMemory`)

// list finds the packages that have tests.
func (s *suite) list(ctx context.Context) ([]testPackage, error) {
	patterns := s.Packages
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	const format = `{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}	{{.Dir}}	{{range .TestGoFiles}}{{.}} {{end}}{{range .XTestGoFiles}}{{.}} {{end}}{{end}}`
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", format}, patterns...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("list packages: %w\n%s", err, complaint.String())
	}
	var found []testPackage
	for line := range strings.Lines(out.String()) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			continue
		}
		p := testPackage{path: fields[0], dir: fields[1]}
		for _, file := range strings.Fields(fields[2]) {
			text, err := os.ReadFile(filepath.Join(p.dir, file))
			if err != nil {
				return nil, fmt.Errorf("look for memory tests: %w", err)
			}
			p.memory = p.memory || memoryTest.Match(text)
		}
		found = append(found, p)
	}
	return found, nil
}

// build compiles the programs and all tests, and returns the binaries to run.
func (s *suite) build(ctx context.Context, packages []testPackage) ([]job, error) {
	dirs, err := s.readable(packages)
	if err != nil {
		return nil, err
	}
	var jobs []job
	needPlain := !s.race
	for i, p := range packages {
		main := s.job(p, dirs[i], s.race)
		if p.memory && s.race {
			main.args = append(main.args, "-test.skip=^TestMemory")
			plain := s.job(p, dirs[i], false)
			plain.args = append(plain.args, "-test.run=^TestMemory")
			jobs = append(jobs, plain)
			needPlain = true
		}
		if s.Run != "" {
			main.args = append(main.args, "-test.run="+s.Run)
		}
		jobs = append(jobs, main)
	}
	jobs = append(s.buildPrograms(ctx, needPlain), jobs...)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range jobs {
		group.Go(func() error {
			s.compile(ctx, &jobs[i])
			return ctx.Err()
		})
	}
	return jobs, group.Wait()
}

// job is a package's tests, with the race detector or plain.
func (s *suite) job(p testPackage, dir string, race bool) job {
	kind, name := "plain", short(p.path)
	if race {
		kind = "race"
	} else if s.race {
		name += " (plain)"
	}
	bin := filepath.Join(s.dir, kind)
	return job{
		name: name, source: p.dir, dir: dir, bin: bin,
		binary: filepath.Join(bin, strings.ReplaceAll(p.path, "/", "-")+".test"),
		args:   []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + s.Timeout.String()},
	}
}

// buildPrograms builds the programs once, for tests that start them. What it returns are
// failures: the tests that need no program run all the same.
func (s *suite) buildPrograms(ctx context.Context, plain bool) []job {
	var failures []job
	build := func(kind string, flags ...string) {
		args := append(append([]string{"build"}, flags...), "-o", filepath.Join(s.dir, kind), "./cmd/...")
		if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			failures = append(failures, job{name: "cmd", failed: fmt.Sprintf("%s%v\n", out, err)})
		}
	}
	if s.race {
		build("race", "-race")
	}
	if plain {
		build("plain")
	}
	return failures
}

// compile builds one test binary; a failure is the package's, told with its result.
func (s *suite) compile(ctx context.Context, j *job) {
	if j.failed != "" {
		return
	}
	args := []string{"test", "-c", "-o", j.binary}
	if filepath.Base(j.bin) == "race" {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = j.source
	if out, err := cmd.CombinedOutput(); err != nil {
		j.failed = fmt.Sprintf("%s%v\n", out, err)
	}
}

// module is the prefix that a report can do without.
const module = "github.com/spola-cdc/spola/"

func short(path string) string { return strings.TrimPrefix(path, module) }
