package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

// position is a place in the shop's binlog.
type position = mysql.Position

func (st *stage) binlogEnd(ctx context.Context) (position, error) {
	rows, err := st.shop.DB().QueryContext(ctx, "SHOW BINARY LOG STATUS")
	if err != nil {
		return position{}, fmt.Errorf("find the binlog's end: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return position{}, fmt.Errorf("find the binlog's end: %w", err)
	}
	var at position
	values := make([]any, len(columns)) // how many there are depends on the server
	values[0], values[1] = &at.Name, &at.Pos
	for i := range values[2:] {
		values[i+2] = new(string)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return position{}, fmt.Errorf("find the binlog's end: %w", err)
		}
	}
	return at, rows.Err()
}

// writeBacklog writes the orders while nobody reads.
func writeBacklog(ctx context.Context, st *stage, r *Report) error {
	var err error
	if st.logged, err = st.logEnd(ctx); err != nil {
		return err
	}
	if st.from, err = st.binlogEnd(ctx); err != nil {
		return err
	}
	st.first, st.last, err = st.shop.Bench(ctx, shop.BenchLoad{Orders: st.options.Orders, Relaxed: true})
	if err != nil {
		return err
	}
	st.to, err = st.binlogEnd(ctx)
	return err
}

// decoding is one pass of the decoder over the backlog.
type decoding struct {
	rows int
	took time.Duration
	cpu  time.Duration
}

// measureDecoder lets go-mysql decode the backlog's events and throws them away: what the
// reading of a binlog costs anybody who uses it.
func measureDecoder(ctx context.Context, st *stage, r *Report) error {
	d, err := st.decode(ctx)
	if err != nil {
		return err
	}
	if d.rows != r.Rows {
		return fmt.Errorf("the binlog has %d rows between the backlog's ends, not %d", d.rows, r.Rows)
	}
	st.decodes = append(st.decodes, d)
	var sum decoding
	for _, d := range st.decodes {
		sum.rows, sum.took, sum.cpu = sum.rows+d.rows, sum.took+d.took, sum.cpu+d.cpu
	}
	r.Decoder = throughput(sum.rows, sum.took, sum.cpu)
	return nil
}

func (st *stage) decode(ctx context.Context) (decoding, error) {
	u, err := url.Parse(st.mysql.URL())
	if err != nil {
		return decoding{}, fmt.Errorf("read the shop's URL: %w", err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return decoding{}, fmt.Errorf("read the shop's URL: %w", err)
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4_000_000_000, Flavor: "mysql", Host: u.Hostname(), Port: uint16(port), User: u.User.Username(),
		Logger: slog.New(slog.DiscardHandler), DisableRetrySync: true,
	})
	defer syncer.Close()
	before, err := cpu(os.Getpid())
	if err != nil {
		return decoding{}, err
	}
	began := time.Now()
	streamer, err := syncer.StartSync(st.from)
	if err != nil {
		return decoding{}, fmt.Errorf("start go-mysql: %w", err)
	}
	d := decoding{}
	file := st.from.Name
	for {
		e, err := streamer.GetEvent(ctx)
		if err != nil {
			return decoding{}, fmt.Errorf("read with go-mysql: %w", err)
		}
		switch event := e.Event.(type) {
		case *replication.RotateEvent:
			file = string(event.NextLogName)
			continue // its own end is one of the file before
		case *replication.RowsEvent:
			d.rows += len(event.Rows)
		}
		if file == st.to.Name && e.Header.LogPos >= st.to.Pos {
			break
		}
	}
	d.took = time.Since(began)
	after, err := cpu(os.Getpid())
	d.cpu = after - before
	return d, err
}
