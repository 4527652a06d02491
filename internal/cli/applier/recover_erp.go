package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/writeback"
	"github.com/spola-cdc/spola/schemas"
)

// ofERP is what `applier recover` is told for the ERP's database.
const ofERP = "erp"

// restoredERP is `applier recover erp`: what is found, and what is done about it.
type restoredERP struct {
	Restored  bool          `json:"restored"`  // the ERP's database is older than others have seen it
	Recovered bool          `json:"recovered"` // and it goes on from there now
	Witnesses []string      `json:"witnesses"` // what has shown it
	Entries   int64         `json:"entries"`   // of the stock ledger that it has lost
	Rows      []stock.Lost  `json:"rows"`      // of the shop's stock, whose account is not what the shop has taken
	Numbers   []stock.Gap   `json:"numbers"`   // of documents and orders, given out and not known any more
	Told      int64         `json:"told"`      // parcels that customers were told of and the ERP does not know
	Parcels   []lostParcel  `json:"parcels"`   // the first of them
	Behind    behindWitness `json:"behind"`
}

// behindWitness is how many records of the logs are read again.
type behindWitness struct {
	Intake int64 `json:"intake"`
	Ledger int64 `json:"ledger"`
	Mail   int64 `json:"mail"`
}

type lostParcel = writeback.Told

// namedParcels is how many parcels are named.
const namedParcels = 100

// recoverERP finds what the ERP's database lacks and, unless it is only to look, lets it go on: the logs are read again from its places; accounts
// of stock come down to what the shop has taken; numbers that were given out are passed over.
type recoverERP struct {
	env      *cli.Env
	cfg      config.Config
	conn     *pgx.Conn
	contract *schemas.Contract
	found    restoredERP

	shopURL string
	shop    writeback.Witness
	seen    stock.Seen
	life    int64        // of the ERP, by the end of its log
	end     change.Stand // of the ERP's log
	told    map[string]int64
	places  map[string]change.Stand
}

func (r Recover) erp(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedERP, config.NeedKafka)
	if err != nil {
		return err
	}
	contract, err := schemas.LoadContract()
	if err != nil {
		return err
	}
	var done restoredERP
	var at change.Stand
	var told int64
	err = withShop(env, func(conn *pgx.Conn, _ string) error {
		e := &recoverERP{env: env, cfg: cfg, conn: conn, contract: contract, shopURL: cfg.Shop.URL(), told: map[string]int64{}, places: map[string]change.Stand{}}
		if cfg.Shop.Writes() {
			e.shopURL = cfg.Shop.WriteURL()
		}
		if err := e.find(env.Ctx); err != nil {
			return err
		}
		if !r.DryRun {
			if err := e.letGo(env.Ctx, r.Reason); err != nil {
				return err
			}
		}
		done, at, told = e.found, e.places[intakeStream], e.told[intakeStream]
		return nil
	})
	if err != nil {
		return err
	}
	if r.JSON {
		return json.NewEncoder(env.Out).Encode(recovered{Restored: done.Restored, Recovered: done.Recovered, Offset: at.Offset, Told: told, ERP: &done})
	}
	done.print(env.Out)
	return nil
}

// find asks the witnesses: the offsets that lag tools were told, the ERP's log, the journal of mails, and the shop.
func (e *recoverERP) find(ctx context.Context) (err error) {
	if err := e.compareOffsets(ctx); err != nil {
		return err
	}
	if err := e.readLog(ctx); err != nil {
		return err
	}
	if err := e.readJournal(ctx); err != nil {
		return err
	}
	if e.shop, err = writeback.ReadWitness(ctx, e.shopURL); err != nil {
		return err
	}
	return postgres.InTransaction(ctx, e.conn, func(tx pgx.Tx) error { return e.compare(ctx, tx, time.Second) })
}

// compareOffsets holds the places against what lag tools were told.
func (e *recoverERP) compareOffsets(ctx context.Context) error {
	for _, s := range []struct {
		name   string
		log    stream.Config
		behind *int64
	}{{intakeStream, e.cfg.Stream(e.env.Log), &e.found.Behind.Intake}, {ledgerStream, e.cfg.ERPStream(e.env.Log), &e.found.Behind.Ledger}, {mailStream, e.cfg.ERPStream(e.env.Log), &e.found.Behind.Mail}} {
		if s.name != intakeStream && !e.cfg.ERP.Log.Stands() {
			continue
		}
		at, err := e.place(ctx, s.name)
		if err != nil {
			return err
		}
		e.places[s.name] = at
		told, err := stream.CommittedOffset(ctx, s.log, e.cfg.Group(s.name))
		if err != nil {
			return err
		}
		e.told[s.name] = told
		if behind(at, told) {
			*s.behind = told - at.Offset
			e.found.Witnesses = append(e.found.Witnesses, restoredPlace(s.name, at, told))
		}
	}
	return nil
}

// place is where an applier stands in the ERP's database; nowhere if it has not run before the backup.
func (e *recoverERP) place(ctx context.Context, name string) (at change.Stand, err error) {
	var sum string
	err = e.conn.QueryRow(ctx, "select generation, seq, sum, applied, kafka_offset, record_time from spola.place where applier = $1 and source = $2", name, e.cfg.Shop.Name).
		Scan(&at.Gen, &at.Seq, &sum, &at.Applied, &at.Offset, &at.Time)
	if errors.Is(err, pgx.ErrNoRows) {
		return change.Stand{Offset: -1}, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the place of %s: %w", name, err)
	}
	at.Sum, err = change.ParseSum(sum)
	return at, err
}

// readLog reads the ERP's log from the place of the ledger to its end: what stands there was committed once.
func (e *recoverERP) readLog(ctx context.Context) error {
	e.seen = stock.NewSeen()
	if !e.cfg.ERP.Log.Stands() {
		return nil
	}
	log := e.cfg.ERPStream(e.env.Log)
	asking, cancel := context.WithTimeout(ctx, cli.Patience)
	defer cancel()
	tail, err := stream.ReadTail(asking, log)
	if err != nil {
		return err
	}
	e.end = change.Stand{Place: tail.Place, Offset: tail.Offset}
	if tail.Offset < 0 {
		return nil
	}
	origin, err := change.ParseOrigin(tail.Origin)
	if err != nil {
		return fmt.Errorf("the end of the ERP's log: %w", err)
	}
	e.life = origin.Tx.Incarnation // of each record; the claim that began it may be far behind
	at := e.places[ledgerStream]
	if at.Place == tail.Place {
		return nil
	}
	reader, err := apply.Stream(log)(ctx, at)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // it has only read
	for at.Offset < tail.Offset {
		records, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		for i := range records {
			if err := e.seen.Add(&records[i], e.cfg.Shop.Name, stock.CounterOf(e.contract)); err != nil {
				return err
			}
		}
		at.Offset = records[len(records)-1].Offset
	}
	return nil
}

// readJournal reads which documents customers have read of: the journal knows them when the ERP's log is lost or does not go back so far.
func (e *recoverERP) readJournal(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, cli.Patience)
	defer cancel()
	journal, err := stream.FindJournal(asking, e.cfg.Journal(e.env.Log))
	if err != nil || journal == nil {
		return err
	}
	defer journal.Close()
	numbers, err := mail.Numbers(ctx, journal)
	if err != nil {
		return err
	}
	e.seen.Read(numbers)
	return nil
}

// compare holds what was seen against what the database has; an entry that is not there is waited for so long.
func (e *recoverERP) compare(ctx context.Context, tx pgx.Tx, patience time.Duration) error {
	shop := e.cfg.Shop.Name
	taken := map[string]int64{}
	for _, t := range e.shop.Taken {
		taken[t.Row] = t.Number
	}
	for _, w := range []struct {
		entries map[string]int64
		what    string
	}{{taken, "the shop was delivered entry %d of the stock ledger, for %s"}, {e.seen.Entries, "the ERP's log has entry %d of the stock ledger, for %s"}} {
		row, number, err := postgres.UnknownEntry(ctx, tx, shop, w.entries, patience)
		if err != nil {
			return err
		}
		if row != "" {
			e.found.Witnesses = append(e.found.Witnesses, fmt.Sprintf(w.what, number, row)+", and the ledger does not have it")
		}
	}
	lost, err := stock.CompareWithShop(ctx, tx, shop, e.contract, delivered(e.shop), e.seen)
	if err != nil {
		return err
	}
	if len(lost.Numbers) > 0 {
		e.found.Witnesses = append(e.found.Witnesses, "by the ERP's log, or by what customers were mailed, numbers were given out that the ERP does not know")
	}
	slices.Sort(e.found.Witnesses)
	e.found.Witnesses = slices.Compact(e.found.Witnesses)
	e.found.Restored = len(e.found.Witnesses) > 0
	if !e.found.Restored {
		return nil // what differs is on its way
	}
	e.found.Rows, e.found.Numbers, e.found.Entries = lost.Rows, lost.Numbers, lost.Entries
	return e.lostParcels(ctx, tx)
}

// lostParcels lists parcels that customers were told of, and that the ERP has not sent: their goods would be sent twice.
func (e *recoverERP) lostParcels(ctx context.Context, tx pgx.Tx) error {
	var orders []int64
	var tracking []string
	for _, t := range e.shop.Told {
		orders, tracking = append(orders, t.Order), append(tracking, t.Tracking)
	}
	rows, err := tx.Query(ctx, `select t.n from unnest($2::bigint[], $3::text[]) with ordinality as t(order_id, tracking, n)
		where not exists (select from spola.link l join erp.shipments s on s.order_id = l.erp_order where l.shop = $1 and l.order_id = t.order_id and coalesce(s.tracking, '') = t.tracking)
		order by t.order_id, t.n`, e.cfg.Shop.Name, orders, tracking)
	if err != nil {
		return fmt.Errorf("look for parcels that customers were told of: %w", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for parcels that customers were told of: %w", err)
	}
	e.found.Told, e.found.Parcels = int64(len(lost)), nil
	for _, n := range lost[:min(len(lost), namedParcels)] {
		e.found.Parcels = append(e.found.Parcels, e.shop.Told[n-1])
	}
	return nil
}

// letGo fences the applier of stock and has it pass over what was written before the restore, brings the accounts down to what the shop has taken,
// passes over the numbers, and has both logs read again from where the database stands.
func (e *recoverERP) letGo(ctx context.Context, reason string) error {
	if err := e.refuseOldLog(ctx); err != nil {
		return err
	}
	if e.cfg.Shop.Writes() && e.end.Seq > 0 {
		over := e.end
		if !e.found.Restored {
			over = change.Stand{} // what was written is still owed
		}
		if err := writeback.PassOver(ctx, e.shopURL, cli.Owner(), over, e.life); err != nil {
			return err
		}
	}
	var err error
	if e.shop, err = writeback.ReadWitness(ctx, e.shopURL); err != nil { // nobody delivers any more
		return err
	}
	if !e.found.Restored {
		return nil
	}
	by := intake.By{Who: cli.Person(), Reason: reason}
	err = postgres.InTransaction(ctx, e.conn, func(tx pgx.Tx) error {
		if err := e.compare(ctx, tx, 0); err != nil { // once more, for nothing moves now
			return err
		}
		if err := stock.Recover(ctx, tx, stock.Recovery{Shop: e.cfg.Shop.Name, Who: by.Who, LogEnd: e.end.Place, Taken: delivered(e.shop), Seen: e.seen, Tick: e.shop.Tick, Numbers: e.found.Numbers, Found: e.found}); err != nil {
			return err
		}
		return intake.NoteWith(ctx, tx, by, e.cfg.Shop.Name, "recover", ofERP, e.found)
	})
	if err != nil {
		return err
	}
	for name, log := range map[string]stream.Config{intakeStream: e.cfg.Stream(e.env.Log), ledgerStream: e.cfg.ERPStream(e.env.Log), mailStream: e.cfg.ERPStream(e.env.Log)} {
		if told, asked := e.told[name]; asked && behind(e.places[name], told) {
			if err := stream.CommitOffset(ctx, log, e.cfg.Group(name), e.places[name].Offset); err != nil {
				return err
			}
		}
	}
	e.found.Recovered = true
	return nil
}

// refuseOldLog refuses to let go while the ERP's log is still that of the database before: entries made now would stand in no log.
func (e *recoverERP) refuseOldLog(ctx context.Context) error {
	if !e.cfg.ERP.Log.Read() || e.end.Seq == 0 {
		return nil // or another shop's configuration has the reader
	}
	var has bool
	if err := e.conn.QueryRow(ctx, "select exists (select from pg_replication_slots where slot_name = $1)", e.cfg.ERP.Log.Slot).Scan(&has); err != nil {
		return fmt.Errorf("look for the replication slot %s: %w", e.cfg.ERP.Log.Slot, err)
	}
	if !has {
		return &postgres.StopError{What: "the ERP's log does not follow the restored database yet", Mend: "`cdc run erp --new-incarnation` begins its next life; let it run, and ask again"}
	}
	return nil
}

func (d restoredERP) print(w io.Writer) {
	if !d.Restored {
		printable.Printf(w, "The ERP lacks nothing that the shop or the logs know of: what has stopped for it may go on.\n")
		return
	}
	printable.Printf(w, "The ERP's database was restored, or has failed over to a server that lacks commits:\n")
	for _, what := range d.Witnesses {
		printable.Printf(w, "  %s\n", what)
	}
	line := func(n int64, what string) {
		if n > 0 {
			printable.Printf(w, "%8d %s\n", n, what)
		}
	}
	line(d.Behind.Intake, "records of the shop's log to be read again: its orders come again, those that the ERP has stay as they are")
	line(d.Entries, "entries of the stock ledger are lost")
	line(int64(len(d.Rows)), "rows of the shop's stock have taken other pieces than the accounts say")
	for _, n := range d.Numbers {
		printable.Printf(w, "%8d numbers %s, %d to %d of %d, were given out after the backup%s\n", n.Last-n.First+1, n.Name, n.First, n.Last, n.Year, yes(n.Comes(), ": these orders come again from the shop", ": they are not given out again"))
	}
	line(d.Told, "parcels that customers were told of are not in the ERP: their goods have left, so see to it that nobody sends them twice")
	for _, p := range d.Parcels {
		printable.Printf(w, "%8s order %d: %s %s\n", "", p.Order, p.Carrier, p.Tracking)
	}
	if !d.Recovered {
		printable.Printf(w, "Nothing was changed.\n")
		return
	}
	printable.Printf(w, "Start everything again: cdc, and `applier run` for intake, ledger, stock and orders. The shop's stock is held against the accounts as soon as its log was read again.\n"+
		"What was entered in the ERP itself since the backup (receipts, counter sales, shipments) is to be entered again.\n")
}
