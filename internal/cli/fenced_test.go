package cli_test

import (
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Of two processes on one log the older ends with status 4 and says by whom it was fenced; the
// newer goes on, and nothing is lost or there twice.
func TestOlderProcessIsFenced(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	oldReader, oldApplier := p.start("cdc", "run"), p.start("applier", "run")
	p.live(oldReader, oldApplier)
	came, closing := p.customers()
	came(10)
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
