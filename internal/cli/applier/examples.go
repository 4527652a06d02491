package applier

import (
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/document"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/trace"
)

// Program is the program applier.
func Program() cli.Program {
	var grammar struct {
		cli.Common
		Verbs
	}
	return cli.Program{Name: "applier", Description: "Applies a shop's log to the ERP.", Common: &grammar.Common, Grammar: &grammar}
}

// Examples of `applier run`.
func (Run) Examples() []cli.Example {
	return []cli.Example{
		{Args: "intake", For: "take the shop's orders into the ERP until ctrl-C"},
		{Args: "stock", For: "bring the ledger's pieces into the shop's stock"},
		{Args: "orders", For: "bring tracking numbers and states of orders into the shop"},
		{Args: "mail", For: "mail customers when their parcels leave and their invoices are issued"},
	}
}

// Examples of `applier migrate`.
func (Migrate) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--dry-run", For: "which versions has the database, and which would it have?"},
		{Args: "", For: "as the applier's own user, where it may"},
		{Args: "--user spola_migrator", For: "as the role that may, by its password in SPOLA_ERP_PASSWORD"},
	}
}

// Result of `applier migrate` --json.
func (Migrate) Result() any { return migrated{} }

// Examples of `applier cross`.
func (Cross) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--dry-run", For: "can the log be followed, and what would a crossing do?"},
		{Args: "--reason 'the topic was deleted by mistake'", For: "do it, once"},
		{Args: "stock --reason 'the topic was deleted by mistake'", For: "the same for a stream of the ERP's log; ledger, orders and mail likewise"},
	}
}

// Result of `applier cross` --json.
func (Cross) Result() any { return crossed{} }

// Examples of `applier replay`.
func (Replay) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--from 2026-11-01 --to 2026-11-01 --dry-run", For: "what differs of the orders touched on a day"},
		{Args: "--from 2026-11-01 --to 2026-11-01 --rate 50 --reason 'the shop file named a wrong nature'", For: "bring it into the ERP, beside live orders"},
		{Args: "--order 4711,4800-4899 --take-shop --reason 'as agreed'", For: "some orders, from the mirror as it stands; the ERP gets what is derived"},
		{Args: "--from 2/4711 --table order_total --dry-run", For: "from a record of the log on, orders whose totals were touched"},
		{Args: "--rebuild --dry-run", For: "is the live mirror what the log says? Held against a second one, built from the log"},
	}
}

// Result of `applier replay` --json.
func (Replay) Result() any { return replayed{} }

// Examples of `applier recover`.
func (Recover) Examples() []cli.Example {
	return []cli.Example{
		{Args: "stock --dry-run", For: "is the shop's place behind what lag tools were told, and by how much?"},
		{Args: "stock --reason 'backup of Tuesday'", For: "read again from where the restored shop stands"},
		{Args: "erp --dry-run", For: "what does the restored ERP lack: orders, stock movements, numbers of documents, parcels that have left?"},
		{Args: "erp --reason 'disk of the ERP lost'", For: "bring accounts and numbers in line with what the shop and the logs know, and read again"},
	}
}

// Result of `applier recover` --json.
func (Recover) Result() any { return recovered{} }

// Examples of `applier erase`.
func (Erase) Examples() []cli.Example {
	return []cli.Example{
		{Args: "7 --dry-run", For: "what is kept of the shop's account 7, and what would stay?"},
		{Args: "anna@example.com --reason 'asked for on 20 November'", For: "a guest: all that was ordered under this address"},
	}
}

// Result of `applier erase` --json.
func (Erase) Result() any { return erased{} }

// Examples of `applier trace`.
func (Trace) Examples() []cli.Example {
	return []cli.Example{
		{Args: "4711", For: "where is order 4711 of the shop?"},
		{Args: "F2026/17", For: "the order of an invoice, or of the ERP's number"},
		{Args: "4711 --json", For: "for a program, one step a transaction"},
	}
}

// Result of `applier trace` --json.
func (Trace) Result() any { return trace.Trace{} }

// Examples of `applier status`.
func (Status) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "how far, what was taken over, what is parked and why"},
		{Args: "--json", For: "for a program"},
	}
}

// Result of `applier status` --json.
func (Status) Result() any { return status{} }

// Examples of `applier articles`.
func (Articles) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--missing", For: "what has no article, with the orders that wait for it"},
		{Args: "--suggest > articles.csv", For: "a proposal to look through in a spreadsheet"},
		{Args: "--import articles.csv --dry-run", For: "would it be taken, and what would it change?"},
		{Args: "--import articles.csv --reason 'first mapping'", For: "take it: all lines or none"},
	}
}

// Result of `applier articles` --json.
func (Articles) Result() any {
	return cli.Results{
		{For: "--missing, --suggest, --export", Of: []intake.Article{}},
		{For: "--import", Of: intake.Imported{}},
		{For: "none of them", Of: intake.ArticleCount{}},
	}
}

// Examples of `applier customers`.
func (Customers) Examples() []cli.Example {
	return []cli.Example{{Args: "", For: "what can't be right of customers' data"}, {Args: "--json", For: "for a program"}}
}

// Result of `applier customers` --json.
func (Customers) Result() any { return []intake.Flag{} }

// Examples of `applier golive`.
func (Golive) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--from $(date +%F) --dry-run", For: "what would be, and the file in which you decide about older orders"},
		{Args: "--from 2026-12-01 --file golive-shop.csv", For: "do it: all of it or nothing"},
	}
}

// Result of `applier golive` --json.
func (Golive) Result() any { return intake.Readiness{} }

// Examples of `applier parked list`.
func (ListParked) Examples() []cli.Example {
	return []cli.Example{{Args: "", For: "which orders are parked, since when and why"}, {Args: "--json", For: "for a program"}}
}

// Result of `applier parked list` --json.
func (ListParked) Result() any { return []intake.Parked{} }

// Examples of `applier parked show`.
func (ShowParked) Examples() []cli.Example {
	return []cli.Example{{Args: "4711", For: "all that is known of order 4711, and the choices"}}
}

// Result of `applier parked show` --json.
func (ShowParked) Result() any { return shown{} }

// Examples of `applier parked retry`.
func (RetryParked) Examples() []cli.Example {
	return []cli.Example{{Args: "4711 4712", For: "these two"}, {Args: "", For: "all of them"}}
}

// Result of `applier parked retry` --json.
func (RetryParked) Result() any { return retried{} }

// Examples of `applier parked resolve`.
func (ResolveParked) Examples() []cli.Example {
	return []cli.Example{
		{Args: "4711 --keep-erp --reason 'agreed by phone'", For: "the ERP keeps what it has"},
		{Args: "4711 --take-shop --reason 'the customer paid the rest'", For: "the ERP gets what the shop has"},
		{Args: "4711 --drop --reason 'a test order'", For: "the ERP never gets it"},
	}
}

// Result of `applier parked resolve` --json.
func (ResolveParked) Result() any { return resolved{} }

// Examples of `applier pause`.
func (Pause) Examples() []cli.Example {
	return []cli.Example{{Args: "--reason inventory", For: "apply nothing until it is resumed"}}
}

// Result of `applier pause` --json.
func (Pause) Result() any { return waits{} }

// Examples of `applier resume`.
func (Resume) Examples() []cli.Example {
	return []cli.Example{{Args: "", For: "go on where it stood"}}
}

// Result of `applier resume` --json.
func (Resume) Result() any { return resumed{} }

// Examples of `applier audit`.
func (Audit) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "the newest decisions, who took them and why"},
		{Args: "--order 4711 --json", For: "those about an order, for a program"},
	}
}

// Result of `applier audit` --json.
func (Audit) Result() any { return []intake.Audited{} }

// Examples of `applier align`.
func (Align) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "where does the shop show something else than the ERP has? Writes nothing"},
		{Args: "--fields price,special --changed-since 2026-12-01", For: "only prices, and only what the ERP has changed since"},
		{Args: "--category 'Pots & pans' --apply --reason 'the new price list'", For: "write them"},
	}
}

// Result of `applier align` --json.
func (Align) Result() any { return alignment{} }

// Examples of `applier document list`.
func (ListDocuments) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--order W2026/17", For: "all that was issued for an order"},
		{Args: "--kind credit_note --from 2026-11-01 --to 2026-11-30", For: "a month's credit notes"},
	}
}

// Result of `applier document list` --json.
func (ListDocuments) Result() any { return []document.Entry{} }

// Examples of `applier document show`.
func (ShowDocument) Examples() []cli.Example {
	return []cli.Example{
		{Args: "F2026/17", For: "an invoice"},
		{Args: "4711", For: "an order as it stands, by its number in the shop; W2026/17 is the ERP's"},
		{Args: "--order 4711", For: "all that was issued for it"},
	}
}

// Result of `applier document show` --json.
func (ShowDocument) Result() any { return document.Sheet{} }

// Examples of `applier document pdf`.
func (PDFDocument) Examples() []cli.Example {
	return []cli.Example{
		{Args: "DDT2026/17 F2026/17", For: "into this directory"},
		{Args: "--order 4711 --dir /tmp", For: "all that was issued for an order"},
		{Args: "--from 2026-11-01 --to 2026-11-30 --dir /tmp", For: "a month, for the archive"},
	}
}

// Result of `applier document pdf` --json.
func (PDFDocument) Result() any { return []writtenDocument{} }

// Examples of `applier document xml`.
func (XMLDocument) Examples() []cli.Example {
	return []cli.Example{
		{Args: "F2026/17", For: "one invoice, to be signed and sent by your own program"},
		{Args: "--month 2026-11 --dir /tmp", For: "all invoices and credit notes of a month"},
	}
}

// Result of `applier document xml` --json.
func (XMLDocument) Result() any { return []writtenDocument{} }

// Examples of `applier document due`.
func (DueDocuments) Examples() []cli.Example {
	return []cli.Example{{Args: "", For: "which deliveries wait for their invoice, and why"}}
}

// Result of `applier document due` --json.
func (DueDocuments) Result() any { return []document.Due{} }

// Examples of `applier document register`.
func (RegisterDocument) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--month 2026-11", For: "the month on the screen"},
		{Args: "--month 2026-11 --csv takings.csv", For: "for the accountant's spreadsheet"},
	}
}

// Result of `applier document register` --json.
func (RegisterDocument) Result() any { return []document.Taking{} }

// Examples of `applier verify`.
func (Verify) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "all orders"},
		{Args: "--since 2026-11-01 --stock", For: "the orders of a month, and the stock"},
		{Args: "--orders 4711,4712 --mend", For: "two orders, by the shop's numbers; what changed there unseen is read again"},
	}
}

// Result of `applier verify` --json.
func (Verify) Result() any { return verified{} }

// Examples of `applier reconcile`.
func (Reconcile) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--dry-run", For: "what drifts, what would be opened, closed and repaired"},
		{Args: "--sku AB-100", For: "one article now, without waiting for the next run"},
		{Args: "--allow 'the season is over: all sandals are gone'", For: "let a change through that the guard holds"},
	}
}

// Result of `applier reconcile` --json.
func (Reconcile) Result() any { return stock.Run{} }

// Examples of `applier mail list`.
func (ListMails) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--state unknown", For: "those of which nobody knows whether they arrived: resend them, or resolve them"},
		{Args: "--order 4711", For: "those of one order"},
	}
}

// Result of `applier mail list` --json.
func (ListMails) Result() any { return []mail.Row{} }

// Examples of `applier mail preview`.
func (PreviewMail) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--order 4711", For: "the mails of an order, as files and in a browser"},
		{Args: "--language en --dir /tmp/mails", For: "samples, for who writes templates"},
	}
}

// Result of `applier mail preview` --json.
func (PreviewMail) Result() any { return []previewed{} }

// Examples of `applier mail resend`.
func (ResendMail) Examples() []cli.Example {
	return []cli.Example{
		{Args: "17 --reason 'she never got it'", For: "once more, with the same Message-ID"},
		{Args: "18 --to mario@example.com", For: "to another address than the order's"},
	}
}

// Result of `applier mail resend` --json.
func (ResendMail) Result() any { return []decidedMail{} }

// Examples of `applier mail resolve`.
func (ResolveMail) Examples() []cli.Example {
	return []cli.Example{
		{Args: "17 --arrived", For: "the server's log says that it went out"},
		{Args: "18 --drop --reason 'told by phone'", For: "it is not sent any more"},
	}
}

// Result of `applier mail resolve` --json.
func (ResolveMail) Result() any { return []decidedMail{} }

// Examples of `applier mail check`.
func (CheckMail) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "does the server let us in?"},
		{Args: "--to me@example.com", For: "and how does a mail look in my own mailbox?"},
	}
}

// Result of `applier mail check` --json.
func (CheckMail) Result() any { return checkedMail{} }

// Examples of `applier mail templates`.
func (TemplatesMail) Examples() []cli.Example {
	return []cli.Example{{Args: "/etc/spola/mail", For: "to be changed there; smtp.templates names the directory"}}
}

// Result of `applier mail templates` --json.
func (TemplatesMail) Result() any { return []writtenTemplate{} }
