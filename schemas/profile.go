package schemas

// Profile says what a shop platform's tables mean to the reader and the mirror: which tables
// and columns leave the shop, in which order they are read by a snapshot, and to which order
// a row belongs. What they mean to the ERP is SQL, in the same directory.
type Profile struct {
	Platform string  `yaml:"platform"`
	Versions string  `yaml:"versions"` // of the platform, for people
	Tables   []Table `yaml:"tables"`   // in snapshot order: look-ups first, the completeness table last

	// State is the column that holds an order's state; Complete is the table whose row ends the
	// writing of an order or of a change of its state.
	State    Column `yaml:"state"`
	Placed   Column `yaml:"placed"` // when an order was placed, by the shop's own clock
	Complete string `yaml:"complete"`

	// Totals says what the rows of an order's totals are that every shop of the platform has, by
	// their code: charge, discount, payment, tax or ignored. A shop file may say otherwise.
	Totals map[string]string `yaml:"totals"`

	// Tracking is a regular expression: what the platform takes for a tracking number.
	Tracking string `yaml:"tracking"`

	// Consumes are the columns of the catalogue that decide, beside an order's state, whether the
	// shop's own code subtracts stock for it. The platform's view of orders reads no other column of the catalogue's
	// tables named here: orders are drafted while quantities change.
	Consumes []Column `yaml:"consumes"`

	// Compare are the tables that reconciliation holds against the mirror.
	Compare []Compared `yaml:"compare"`
}

// Column names a column of a table, both without prefix.
type Column struct {
	Table string `yaml:"table"`
	Name  string `yaml:"column"`
}

// Table is one captured table. Names are without the shop's prefix.
type Table struct {
	Name    string   `yaml:"name"`
	Kind    Kind     `yaml:"kind"`
	Key     []string `yaml:"key"`     // the primary key's columns
	Order   string   `yaml:"order"`   // the column that names the order a row belongs to; kind order only
	Account string   `yaml:"account"` // the column that names the account a row belongs to; kind customer only
	Columns []string `yaml:"columns"` // what may leave the shop, the key included; nothing else does
	Only    *Only    `yaml:"only"`    // which rows may leave the shop; nil: all
}

// Only bounds a table to rows whose column has one of the values: a shop's settings stand beside
// its passwords. The column never changes in a row's life.
type Only struct {
	Column string   `yaml:"column"`
	Values []string `yaml:"values"`
}

// Kind says how a table's rows are used.
type Kind string

// The kinds of tables.
const (
	KindLookup    Kind = "lookup"    // settings, tax rates, countries: used from a versioned copy
	KindCatalogue Kind = "catalogue" // products, options, stock
	KindCustomer  Kind = "customer"  // accounts and their addresses
	KindOrder     Kind = "order"     // an order's own rows
)

// Compared is a table whose rows in the shop are held against the mirror now and then, for what the binary log never
// names. Its key is one column of integers.
type Compared struct {
	Table   string         `yaml:"table"`
	Key     string         `yaml:"key"`
	Columns []string       `yaml:"columns"` // whose texts are equal in both databases: integers and decimals
	Bounded bool           `yaml:"bounded"` // old rows may never have been read
	With    []ComparedWith `yaml:"with"`    // what is read again with its rows
}

// ComparedWith is a table whose rows belong to those of another.
type ComparedWith struct {
	Table string `yaml:"table"`
	Key   string `yaml:"key"`
	By    string `yaml:"by"` // the column that names what a row belongs to
}
