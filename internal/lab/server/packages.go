package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gofrs/flock"
)

// packages is a set of Debian packages that is unpacked beside the system.
type packages struct {
	name  string // of its directory in the cache
	suite string // named, so that the host's own release does not matter
	names []string
	// libc unpacks the set's own C library, for programs that run through their own loader.
	// Others run with the host's: loader and library of two versions crash.
	libc bool
}

const completeFile = ".complete" // written last: what is beside it is whole

// unpack returns the directory where the set is unpacked, after fetching it if need be.
func (l *Lab) unpack(ctx context.Context, set packages) (string, error) {
	root := filepath.Join(l.cache, set.name)
	err := l.once(ctx, root, func(dir string) (err error) {
		l.progress(fmt.Sprintf("fetching %s (Debian's packages of %s, once)", set.name, set.suite))
		world := dir + ".apt"
		if err := os.RemoveAll(world); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(world)) }() // lists and packages, used up
		debs, err := l.download(ctx, set, world)
		if err != nil {
			return err
		}
		for _, deb := range debs {
			if !set.libc && strings.HasPrefix(filepath.Base(deb), "libc6_") {
				continue
			}
			if _, err := l.run(ctx, dir, nil, "dpkg", "-x", deb, dir); err != nil {
				return err
			}
		}
		return l.mendLinks(dir)
	})
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", set.name, err)
	}
	return root, nil
}

// once fills a directory of the cache unless it is there already. Other processes wait; what a
// killed one left half done is begun again.
func (l *Lab) once(ctx context.Context, dir string, fill func(dir string) error) (err error) {
	if _, err := os.Stat(filepath.Join(dir, completeFile)); err == nil {
		return nil
	}
	lock := flock.New(dir + ".lock")
	if _, err := lock.TryLockContext(ctx, pollEvery); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := l.user.Give(dir + ".lock"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, completeFile)); err == nil {
		return nil
	}
	part := dir + ".part"
	for _, stale := range []string{part, dir} {
		if err := os.RemoveAll(stale); err != nil {
			return err
		}
	}
	if err := l.user.makeDir(part, 0o755); err != nil {
		return err
	}
	if err := fill(part); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(part, completeFile), nil, 0o644); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

// download fetches a set with everything it depends on into an apt world of its own, and
// returns the files.
func (l *Lab) download(ctx context.Context, set packages, world string) ([]string, error) {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("no server is installed, and this is no Debian to fetch one: %w", err)
		}
	}
	conf, err := l.aptWorld(world, set.suite)
	if err != nil {
		return nil, err
	}
	if _, err := l.run(ctx, world, nil, "apt-get", "-c", conf, "update"); err != nil {
		return nil, err
	}
	args := append([]string{"apt-get", "-c", conf, "--download-only", "--yes", "install"}, set.names...)
	if _, err := l.run(ctx, world, nil, args...); err != nil {
		return nil, err
	}
	debs, err := filepath.Glob(filepath.Join(world, "cache/archives/*.deb"))
	if err == nil && len(debs) == 0 {
		err = errors.New("apt-get fetched nothing")
	}
	return debs, err
}

// aptWorld makes what apt-get needs to work without root and without a look at what the host
// has installed, and returns its configuration file.
func (l *Lab) aptWorld(world, suite string) (string, error) {
	for _, dir := range []string{"", "lists", "lists/partial", "cache", "cache/archives", "cache/archives/partial"} {
		if err := l.user.makeDir(filepath.Join(world, dir), 0o755); err != nil {
			return "", err
		}
	}
	conf := strings.NewReplacer("$WORLD", world).Replace(aptConf)
	source := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", debianKeys, debianMirror(), suite)
	files := map[string]string{"apt.conf": conf, "sources.list": source, "status": ""}
	for name, text := range files {
		path := filepath.Join(world, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
		if err := l.user.Give(path); err != nil {
			return "", err
		}
	}
	return filepath.Join(world, "apt.conf"), nil
}

const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// aptConf overrides the host's settings; its proxies and certificates stay in force. The
// hooks that it clears tell other programs of the host about an update that is none of theirs. A
// mirror that has stood still for some weeks, as in many companies, still has what tests need: its
// lists count as expired then, but are signed as ever.
const aptConf = `
Dir::Etc::SourceList "$WORLD/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$WORLD/lists";
Dir::State::status "$WORLD/status";
Dir::Cache "$WORLD/cache";
Dir::Log "$WORLD";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
Debug::NoLocking "1";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
`

// A source of Debian itself, in either format of apt's files.
var debianSource = regexp.MustCompile(`(?m)^(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(https?://\S+/debian)/?\s`)

// debianMirror is the mirror that the host itself uses, or Debian's own.
func debianMirror() string {
	files := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		more, err := filepath.Glob(pattern)
		if err == nil {
			files = append(files, more...)
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if found := debianSource.FindSubmatch(text); found != nil {
			return string(found[1])
		}
	}
	return "http://deb.debian.org/debian"
}

// mendLinks makes an unpacked root whole: the links of a merged /usr, which a package's
// installation makes elsewhere, and absolute links, which would lead into the host.
func (l *Lab) mendLinks(root string) error {
	for _, name := range []string{"lib", "lib64"} {
		link := filepath.Join(root, name)
		if _, err := os.Lstat(link); errors.Is(err, fs.ErrNotExist) {
			if err := os.Symlink(filepath.Join("usr", name), link); err != nil {
				return err
			}
			if err := l.user.Give(link); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(path)
		if err != nil || !filepath.IsAbs(target) {
			return err
		}
		relative, err := filepath.Rel(filepath.Dir(path), filepath.Join(root, target))
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		if err := os.Symlink(relative, path); err != nil {
			return err
		}
		return l.user.Give(path)
	})
}
