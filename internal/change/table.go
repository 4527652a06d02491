package change

// Type is a column's type in one vocabulary for all sources, as both the source's own log and
// its catalogue can tell it. The log's form and the mirror's type for MySQL and MariaDB:
//
//	tinyint smallint mediumint year   number                    integer
//	int                               number                    integer; bigint if unsigned
//	bigint                            number; text if unsigned  bigint; numeric(20) if unsigned
//	bit                               decimal text              numeric(20)
//	decimal                           decimal text              numeric(p,s)
//	float double                      number                    real; double precision
//	date                              "2026-11-25"              date
//	datetime                          "2026-11-25T10:00:00.5"   timestamp: the shop's wall time
//	timestamp                         "2026-11-25T10:00:00.5Z"  timestamptz: UTC
//	time                              "-838:59:59.5"            interval
//	char varchar text enum set        text                      text
//	json                              JSON as text              jsonb
//	binary varbinary blob geometry    base64                    bytea
//
// A date or datetime with a zero year, month or day keeps its digits in the log ("0000-00-00")
// and is -infinity in the mirror. Fractions of seconds have as many digits as the column.
//
// PostgreSQL's types are those of the same meaning, and four of its own: boolean, interval, uuid,
// and other, whose values are text as PostgreSQL shows them. source/postgres/types.go lists the forms.
type Type string

// The types of columns, as the table above has them.
const (
	TinyInt   Type = "tinyint"
	SmallInt  Type = "smallint"
	MediumInt Type = "mediumint"
	Int       Type = "int"
	BigInt    Type = "bigint"
	Year      Type = "year"
	Bit       Type = "bit"
	Decimal   Type = "decimal"
	Float     Type = "float"
	Double    Type = "double"
	Date      Type = "date"
	DateTime  Type = "datetime"
	Timestamp Type = "timestamp"
	Time      Type = "time"
	Char      Type = "char"
	VarChar   Type = "varchar"
	Text      Type = "text"
	Enum      Type = "enum"
	Set       Type = "set"
	JSON      Type = "json"
	Binary    Type = "binary"
	VarBinary Type = "varbinary"
	Blob      Type = "blob"
	Geometry  Type = "geometry"
	Boolean   Type = "boolean"
	Interval  Type = "interval"
	UUID      Type = "uuid"
	Other     Type = "other"
)

// Column is a captured column of a table.
type Column struct {
	Name      string   `json:"name"`
	Type      Type     `json:"type"`
	Unsigned  bool     `json:"unsigned,omitempty"`
	Nullable  bool     `json:"nullable,omitempty"`
	Precision int      `json:"precision,omitempty"` // decimal: digits; date and time types: digits of the fraction
	Scale     int      `json:"scale,omitempty"`     // decimal: digits behind the point
	Values    []string `json:"values,omitempty"`    // enum and set: the labels
}

// Table is the shape of a captured table: the payload of a record with op Schema.
type Table struct {
	Name    string   `json:"table"`
	Version int      `json:"version"` // configuration version in which this shape was announced
	Columns []Column `json:"columns"`
	Key     []string `json:"key"` // the primary key's columns, in its order
}
