package postgres

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// An answer that never comes is waited for as long as the server is at work on it, and no
// longer; the caller's own deadlines hold beside that.
func TestSilentConnection(t *testing.T) {
	address := server.Postgres(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := fault.New(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	through, err := proxy.URL(address)
	if err != nil {
		t.Fatal(err)
	}
	const silence = 300 * time.Millisecond
	conn, err := connect(t.Context(), through, "test", silence)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "select pg_sleep(2)"); err != nil {
		t.Fatalf("a statement that takes longer than it is silent for: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), silence/3)
	defer cancel()
	if _, err := conn.Exec(short, "select pg_sleep(2)"); err == nil || short.Err() == nil {
		t.Fatalf("a statement that its caller gave up ends with %v", err)
	}

	if conn, err = connect(t.Context(), through, "test", silence); err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := proxy.Silence(); err != nil {
		t.Fatal(err)
	}
	patient, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	_, err = conn.Exec(patient, "select 1")
	if err == nil || patient.Err() != nil {
		t.Fatalf("a statement whose answer is lost ends with %v", err)
	}
	if !Retryable(explain("select", err)) {
		t.Errorf("nobody would try again after %v", err)
	}
	if err := proxy.Mend(); err != nil {
		t.Fatal(err)
	}
	if conn, err = connect(t.Context(), through, "test", silence); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
}

// Only a process that is at work is waited for.
func TestLostAnswers(t *testing.T) {
	address := server.Postgres(t)
	conn, err := Connect(t.Context(), address, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	pid := int(conn.PgConn().PID())
	if !lost(conn.Config(), pid) {
		t.Error("the answer of an idle process is waited for")
	}
	if _, err := conn.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	if !lost(conn.Config(), pid) {
		t.Error("the answer of a process that waits within a transaction is waited for")
	}
	working := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(5)")
		working <- err
	}()
	other, err := Connect(t.Context(), address, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(t.Context()))
	for active := false; !active; {
		if err := other.QueryRow(t.Context(), "select state = 'active' from pg_stat_activity where pid = $1", pid).Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
	if lost(conn.Config(), pid) {
		t.Error("the answer of a process at work is given up")
	}
	if err := <-working; err != nil {
		t.Fatal(err)
	}
	if !lost(conn.Config(), 1<<30) {
		t.Error("the answer of a process that is gone is waited for")
	}
}
