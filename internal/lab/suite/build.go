package suite

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	race   bool
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

// longest are the packages whose tests take longest, the longest first: begun last, each of them would
// be waited for alone.
var longest = []string{"internal/cli", "internal/cli/demo", "internal/intake", "internal/source/mysql", "internal/writeback", "internal/stream"}

// jobs are the test binaries to build and run, in the order of their turns.
func (s *suite) jobs(packages []testPackage) ([]job, error) {
	dirs, err := s.readable(packages)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for i, p := range packages {
		main := s.job(p, dirs[i], s.race)
		if p.memory && s.race {
			main.args = append(main.args, "-test.skip=^TestMemory")
			plain := s.job(p, dirs[i], false)
			plain.args = append(plain.args, "-test.run=^TestMemory")
			jobs = append(jobs, plain)
		}
		if s.Run != "" {
			main.args = append(main.args, "-test.run="+s.Run)
		}
		jobs = append(jobs, main)
	}
	turn := func(j job) int {
		if at := slices.Index(longest, j.name); at >= 0 {
			return at
		}
		return len(longest)
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(turn(a), turn(b)) })
	return jobs, nil
}

// compile builds the binaries, and hands on each that is built. The first is built alone: two builds
// at once on an empty cache would both compile what they share.
func (s *suite) compile(ctx context.Context, jobs []job, built chan<- job) {
	defer close(built)
	var group errgroup.Group
	group.SetLimit(buildsAtOnce)
	for i, j := range jobs {
		group.Go(func() error {
			s.compileOne(ctx, &j)
			select {
			case built <- j:
			case <-ctx.Done():
			}
			return nil
		})
		if i == 0 {
			_ = group.Wait() // a failure stands in its job
		}
	}
	_ = group.Wait()
}

// job is a package's tests, with the race detector or plain.
func (s *suite) job(p testPackage, dir string, race bool) job {
	kind, name := "plain", short(p.path)
	if race {
		kind = "race"
	} else if s.race {
		name += " (plain)"
	}
	return job{
		name: name, source: p.dir, dir: dir, race: race,
		binary: filepath.Join(s.dir, kind, strings.ReplaceAll(p.path, "/", "-")+".test"),
		args:   []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + s.Timeout.String()},
	}
}

// compileOne builds one test binary; a failure is the package's, told with its result. Without the
// tables for debuggers (-w) a binary is linked a quarter sooner; stacks have their lines all the same.
func (s *suite) compileOne(ctx context.Context, j *job) {
	args := []string{"test", "-c", "-ldflags=-w", "-o", j.binary}
	if j.race {
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
