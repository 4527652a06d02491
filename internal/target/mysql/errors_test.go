package mysql

import (
	"context"
	"net"
	"os"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	source "github.com/spola-cdc/spola/internal/source/mysql"
)

// mute is a connection into which nothing can be written.
type mute struct{ net.Conn }

func (mute) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// A server that hangs up while it lets somebody in is one that comes back: the applier connects again.
func TestHangingUpAtTheDoorPasses(t *testing.T) {
	withMarker(t, func(t *testing.T, url string) {
		config, err := source.Connection(url, 0)
		if err != nil {
			t.Fatal(err)
		}
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			return mute{conn}, err
		}
		connector, err := driver.NewConnector(config)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := connector.Connect(t.Context())
		if err == nil {
			conn.Close()
			t.Fatal("a connection into which nothing can be written was made")
		}
		if err := explain("connect to the shop's database", err); !Retryable(err) {
			t.Errorf("%v: the applier stops for good", err)
		}
	})
}
