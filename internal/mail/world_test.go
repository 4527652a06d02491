package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	netmail "net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

const testShop = "shop1"

// world is a reference ERP with a shop that is live, a journal, and a mail server.
type world struct {
	*testing.T
	url   string
	conn  *pgx.Conn
	box   *mailbox.Server
	kafka stream.Config
	queue *Queue
	since time.Time
}

func newWorld(t *testing.T, o mailbox.Options) *world {
	t.Helper()
	w := &world{T: t, url: erp.Database(t, "spola", "erp")}
	var err error
	w.conn, err = postgres.Connect(t.Context(), w.url, "test")
	w.must(err)
	t.Cleanup(func() { closeConn(w.conn) })
	w.exec(`set synchronous_commit = off`)
	w.exec(`insert into erp.warehouse values (1, 'MI', 'Milano', 1), (2, 'RM', 'Roma', 2)`)
	w.exec(`select erp.put_articles(array(select row('P' || i, 'Product ' || i, 'S' || i, '', 'Article ' || i, 22, 1220,
		null, null, null, null, null, '{"Size": "L"}', null)::erp.article_in from generate_series(1, 5) i))`)
	w.exec(`select erp.receive_goods(1::smallint, array(select row(a.id, 100000)::erp.goods_in from erp.article a)),
		erp.receive_goods(2::smallint, array(select row(a.id, 100000)::erp.goods_in from erp.article a))`)
	w.exec(`select erp.import_customers(array[row('c1', 'private', 'Mario', 'Rossi', '', 'mario@example.com', '', 'it-it',
		'RSSMRA80A01H501U', '', '', '', row('Mario', 'Rossi', '', 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT'))]::erp.customer_in[])`)
	w.exec(`insert into erp.seller (name, street, postcode, city, province, vat_number, phone, email) values
		('Bottega Aurora srl', 'Via Garibaldi 12', '20121', 'Milano', 'MI', '01234567897', '+39 02 123456', 'ordini@bottega.example')`)
	w.exec(`insert into spola.shop (shop, platform, prefix, mode, cut) values ($1, 'opencart', 'oc_', 'live', now() - interval '1 day')`, testShop)
	w.exec(`insert into spola.mail_shop (shop, begun) values ($1, now() - interval '1 hour')`, testShop)
	contract, err := schemas.LoadContract()
	w.must(err)
	w.queue = NewQueue(testShop, "bottega.example", w.since, contract, zerolog.Nop())
	w.kafka = stream.Config{Brokers: server.Kafka(t), Topic: fmt.Sprintf("mail%d.sent", time.Now().UnixNano()), Log: zerolog.Nop()}
	w.box, err = mailbox.Start(o)
	w.must(err)
	t.Cleanup(w.box.Close)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.conn.Exec(context.Background(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// text is what a query returns, a line a row, null as -.
func (w *world) text(sql string, args ...any) string {
	w.Helper()
	rows, err := w.conn.Query(context.Background(), sql, args...)
	w.must(err)
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		var words []string
		for _, v := range values {
			if v == nil {
				v = "-"
			}
			words = append(words, fmt.Sprint(v))
		}
		return strings.Join(words, " "), err
	})
	if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}

func (w *world) want(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// order is one of the shop's, taken over by the ERP: 3 pieces of article 1 and 1 of article 2. It returns its id there.
func (w *world) order(shopNumber int64, email string) (id int64) {
	w.Helper()
	w.must(w.conn.QueryRow(context.Background(), `select erp.enter_order(1, 1::smallint, erp.goods('{"S1": 3, "S2": 1}'))`).Scan(&id))
	w.exec(`update erp.sales_order set shop = $2, shop_number = $3, email = $4, channel = 'web', placed_at = date_trunc('second', now()) where id = $1`,
		id, testShop, fmt.Sprint(shopNumber), email)
	w.exec(`insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, revision, content, consuming)
		values ($1, $2, 1, $2::bigint::text, '', 'imported', $3, '1', 'cod', 0, '', true)`, testShop, shopNumber, id)
	return id
}

// ship ships; pieces are by line as JSON, empty is all.
func (w *world) ship(id int64, pieces, tracking string) {
	w.Helper()
	w.exec(`select erp.ship_order($1, nullif($2, '')::jsonb, carrier => 'BRT', tracking => $3)`, id, pieces, tracking)
}

// happened has the queue take what stands in the ERP, as a log read from its start names it: all of it, again and again.
func (w *world) happened() error {
	w.Helper()
	var records []change.Record
	for table, query := range map[string]string{"erp.shipment": `select row_to_json(s)::text from erp.shipment s`, "erp.document": `select row_to_json(d)::text from (select id, kind from erp.document) d`} {
		for row := range strings.SplitSeq(w.text(query), "\n") {
			if row != "" {
				records = append(records, change.Record{Op: change.Create, Table: table, Value: []byte(`{"before":null,"after":` + row + `,"source":{},"op":"c","ts_ms":0,"ts_us":0,"transaction":null}`)})
			}
		}
	}
	ctx := context.Background()
	return postgres.InTransaction(ctx, w.conn, func(tx pgx.Tx) error {
		if err := w.queue.Start(ctx, tx); err != nil {
			return err
		}
		part := w.queue.Part(0)
		if err := part.Add(records); err != nil {
			return err
		}
		return part.Apply(ctx, tx, true)
	})
}

func (w *world) queueAll() {
	w.Helper()
	w.must(w.happened())
}

func (w *world) server() Server {
	s := Server{Address: w.box.Addr, From: netmail.Address{Name: "Bottega Aurora", Address: "ordini@bottega.example"},
		Times: Times{Connect: 2 * time.Second, Step: 2 * time.Second, Body: 2 * time.Second, Last: 500 * time.Millisecond}}
	if w.box.CA != nil {
		s.TLS = &tls.Config{RootCAs: w.box.Roots(), ServerName: "127.0.0.1"}
	}
	return s
}

func (w *world) journal(ctx context.Context) *stream.Journal {
	w.Helper()
	j, err := stream.OpenJournal(ctx, w.kafka, stream.TopicSettings{})
	w.must(err)
	return j
}

func (w *world) sender(ctx context.Context) *Sender {
	w.Helper()
	letters, err := NewLetters("", "Bottega")
	w.must(err)
	return &Sender{Shop: testShop, ERP: w.url, Server: w.server(), Letters: letters, Journal: w.journal(ctx), Log: zerolog.New(zerolog.NewTestWriter(w.T)).Level(zerolog.WarnLevel),
		Poll: 10 * time.Millisecond, Again: func(int) time.Duration { return 50 * time.Millisecond }}
}

// send sends until nothing is queued or on its way.
func (w *world) send(s *Sender) error {
	w.Helper()
	return w.sendFor(s, server.Patience, `select not exists (select from spola.mail where state in ('queued', 'sending'))`)
}

// sendUntil sends until a query says true.
func (w *world) sendUntil(s *Sender, query string) error {
	w.Helper()
	return w.sendFor(s, server.Patience, query)
}

func (w *world) sendFor(s *Sender, most time.Duration, query string) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), most)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for ctx.Err() == nil {
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond):
		}
		if w.text(query) == "true" {
			cancel()
		}
	}
	if err := <-ended; err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (w *world) sendAll() {
	w.Helper()
	s := w.sender(w.Context())
	defer s.Journal.Close()
	w.must(w.send(s))
}

// outbox is what became of the mails.
func (w *world) outbox() string {
	w.Helper()
	return w.text(`select kind, shop_number, recipient, state from spola.mail order by id`)
}

// TestMain runs the tests, or is the mailer that they kill.
func TestMain(m *testing.M) {
	if os.Getenv("SPOLA_TEST_MAILER") != "" {
		os.Exit(runMailer())
	}
	os.Exit(m.Run())
}

// runMailer sends as a process of its own, until it is killed.
func runMailer() int {
	ctx := context.Background()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("SPOLA_TEST_CA")))
	j, err := stream.OpenJournal(ctx, stream.Config{Brokers: strings.Split(os.Getenv("SPOLA_TEST_BROKERS"), ","), Topic: os.Getenv("SPOLA_TEST_TOPIC"), Log: zerolog.Nop()}, stream.TopicSettings{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	letters, err := NewLetters("", "Bottega")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := &Sender{Shop: testShop, ERP: os.Getenv("SPOLA_TEST_MAILER"), Letters: letters, Journal: j, Log: zerolog.Nop(), Poll: 20 * time.Millisecond,
		Again: func(int) time.Duration { return 50 * time.Millisecond },
		Server: Server{Address: os.Getenv("SPOLA_TEST_SMTP"), TLS: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"},
			From: netmail.Address{Address: "ordini@bottega.example"}}}
	fmt.Println(s.Run(ctx))
	return 1
}
