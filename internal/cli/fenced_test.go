package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Of two processes on one log the older ends with status 4 and says by whom it was fenced; the
// newer goes on, and nothing is lost or there twice.
func TestOlderProcessIsFenced(t *testing.T) {
	t.Parallel()
	url := server.MySQL(t)
	p := newPipeline(t, url, server.Kafka(t), shop.Options{})
	oldReader, oldApplier := p.start("cdc", "run"), p.start("applier", "run")
	p.live(oldReader, oldApplier)
	came, closing := p.customers()
	came(10)

	// The file of another shop, in which its name was forgotten: it takes the log from nobody.
	mine, err := os.ReadFile(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{"another database": {"database: " + url, "database: " + server.MySQL(t)}, "another prefix": {"prefix: oc_", "prefix: out_"}} {
		p.write("copy.yaml", []byte(strings.Replace(string(mine), change[0], change[1], 1)))
		if text := p.startWith("copy.yaml", "cdc", "run").ends(3); !strings.Contains(text, "the log is another shop's") || !strings.Contains(text, "another shop.name in spola.yaml") {
			t.Errorf("%s: cdc says: %s", what, text)
		}
	}
	came(10)
	if oldReader.ended() {
		t.Fatalf("the log was taken:\n%s", oldReader.tail())
	}
	newReader, newApplier := p.start("cdc", "run"), p.start("applier", "run")
	if text := oldReader.ends(4); !strings.Contains(text, "fenced") {
		t.Errorf("cdc says: %s", text)
	}
	if text := oldApplier.ends(4); !strings.Contains(text, "fenced") || !strings.Contains(text, "process") {
		t.Errorf("the applier says: %s", text)
	}
	came(10)
	closing()
	p.settled(newReader, newApplier)
	p.proved()
	newReader.stop()
	newApplier.stop()
}

// A stream that a person must look at ends with status 3 and says what to do, however often it
// is started.
func TestStoppedStreamSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader := p.start("cdc", "run")
	p.until("the log", []*program{reader}, func() bool { return strings.Contains(p.run(0, "cdc", "position"), `"run": 1`) })
	p.shopExec("TRUNCATE TABLE oc_order_total")
	for _, text := range []string{reader.ends(3), p.run(3, "cdc", "run")} {
		if !strings.Contains(text, "oc_order_total") || !strings.Contains(text, "--new-incarnation") {
			t.Errorf("cdc says: %s", text)
		}
	}
}
