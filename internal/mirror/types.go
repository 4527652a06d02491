package mirror

import (
	"fmt"

	"github.com/spola-cdc/spola/internal/change"
)

// columnType is the PostgreSQL type of a shop's column, in PostgreSQL's own spelling. The table
// stands in package change, at Type.
func columnType(c change.Column) (string, error) {
	switch c.Type {
	case change.TinyInt, change.SmallInt, change.MediumInt, change.Year:
		return "integer", nil
	case change.Int:
		if c.Unsigned {
			return "bigint", nil
		}
		return "integer", nil
	case change.BigInt:
		if c.Unsigned {
			return "numeric(20,0)", nil
		}
		return "bigint", nil
	case change.Bit:
		return "numeric(20,0)", nil
	case change.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", c.Precision, c.Scale), nil
	case change.Float:
		return "real", nil
	case change.Double:
		return "double precision", nil
	case change.Date:
		return "date", nil
	case change.DateTime:
		return "timestamp without time zone", nil
	case change.Timestamp:
		return "timestamp with time zone", nil
	case change.Time:
		return "interval", nil
	case change.Char, change.VarChar, change.Text, change.Enum, change.Set:
		return "text", nil
	case change.JSON:
		return "jsonb", nil
	case change.Binary, change.VarBinary, change.Blob, change.Geometry:
		return "bytea", nil
	}
	return "", fmt.Errorf("column %s: type %q is not one that the mirror knows", c.Name, c.Type)
}

// ordered tells whether PostgreSQL sorts a key column of this type as the shop does. Texts it
// does not: the shop's collation may put "a" and "A" in one place.
func ordered(t change.Type) bool {
	switch t {
	case change.TinyInt, change.SmallInt, change.MediumInt, change.Int, change.BigInt, change.Year,
		change.Bit, change.Decimal, change.Date, change.DateTime, change.Timestamp:
		return true
	}
	return false
}
