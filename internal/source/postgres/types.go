package postgres

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/spola-cdc/spola/internal/change"
)

// The types of columns, and how their values stand in a row object. PostgreSQL sends every value
// as text, in the stream and in a snapshot alike, by the same output functions and under the same
// settings (Config.prepare). What is written here is made of that text:
//
//	smallint integer bigint oid    number
//	boolean                        true, false
//	real double precision          number; "NaN", "Infinity", "-Infinity" as text
//	numeric                        decimal text, with the digits it was stored with; "NaN", "Infinity"
//	date                           "2026-11-25"
//	timestamp                      "2026-11-25T10:00:00.5": a wall's time, of no zone
//	timestamptz                    "2026-11-25T10:00:00.5Z": UTC
//	time                           "10:00:00.5"
//	interval                       "P1Y2M3DT4H5M6.5S"
//	bytea                          base64
//	json jsonb                     JSON as text
//	uuid text varchar char enum    text
//	all others                     text, as PostgreSQL shows the value: arrays {1,2}, composites
//	                               (1,"a b"), ranges [1,5), money, timetz, bit, inet, xml, …
//
// Infinite dates and times are "infinity" and "-infinity"; years before the first end with " BC".
// A domain is its base type.

// column is a column of a published table.
type column struct {
	change.Column
	base   uint32 // type, of a domain its base
	member []byte // "name":
}

// typeInfo is what a type that is not built in comes to.
type typeInfo struct {
	base     uint32 // itself, or of a domain what it is made of
	modifier int32  // that the domain sets, -1 if none
	enum     bool
}

//go:embed types.sql
var typesQuery string

// types knows the types of a database by their OID.
type types map[uint32]typeInfo

// readTypes lists the database's domains and other types.
func readTypes(ctx context.Context, conn *pgx.Conn) (types, error) {
	rows, err := conn.Query(ctx, typesQuery)
	if err != nil {
		return nil, fmt.Errorf("types of the ERP's database: %w", err)
	}
	known := types{}
	var id, base uint32
	var modifier int32
	var enum bool
	_, err = pgx.ForEachRow(rows, []any{&id, &base, &modifier, &enum}, func() error {
		known[id] = typeInfo{base, modifier, enum}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("types of the ERP's database: %w", err)
	}
	return known, nil
}

// describe is the column of a type and modifier; false if the type is not known.
func (t types) describe(name string, id uint32, modifier int32) (column, bool) {
	info, ok := t[id]
	if !ok {
		return column{}, false
	}
	if info.modifier >= 0 {
		modifier = info.modifier
	}
	c := column{base: info.base, Column: change.Column{Name: name, Type: change.Other, Nullable: true}}
	c.member = append(appendQuoted(nil, []byte(name)), ':')
	if info.enum {
		c.Type = change.Enum
	}
	if known, ok := typeOf[info.base]; ok {
		c.Type = known
	}
	if c.Type == change.Decimal && modifier >= 4 {
		// A scale has eleven bits with a sign.
		c.Precision, c.Scale = int(modifier-4)>>16&0xffff, (int(modifier-4)&0x7ff^1024)-1024
	}
	return c, true
}

var typeOf = map[uint32]change.Type{
	pgtype.BoolOID: change.Boolean,
	pgtype.Int2OID: change.SmallInt, pgtype.Int4OID: change.Int, pgtype.Int8OID: change.BigInt, pgtype.OIDOID: change.BigInt,
	pgtype.NumericOID: change.Decimal, pgtype.Float4OID: change.Float, pgtype.Float8OID: change.Double,
	pgtype.DateOID: change.Date, pgtype.TimestampOID: change.DateTime, pgtype.TimestamptzOID: change.Timestamp,
	pgtype.TimeOID: change.Time, pgtype.IntervalOID: change.Interval,
	pgtype.TextOID: change.Text, pgtype.NameOID: change.Text, pgtype.VarcharOID: change.VarChar, pgtype.BPCharOID: change.Char, pgtype.QCharOID: change.Char,
	pgtype.ByteaOID: change.Blob, pgtype.UUIDOID: change.UUID, pgtype.JSONOID: change.JSON, pgtype.JSONBOID: change.JSON,
}

// appendValue writes a value that is not NULL.
func (c *column) appendValue(dst, text []byte) ([]byte, error) {
	switch c.Type {
	case change.SmallInt, change.Int, change.BigInt:
		return append(dst, text...), nil
	case change.Boolean:
		if len(text) == 1 && text[0] == 't' {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case change.Float, change.Double:
		if last := text[len(text)-1]; last == 'y' || last == 'N' {
			return appendQuoted(dst, text), nil
		}
		return append(dst, text...), nil
	case change.DateTime, change.Timestamp:
		return appendMoment(dst, text), nil
	case change.Blob:
		return appendBytes(dst, text)
	}
	return appendText(dst, text)
}

// appendMoment writes a date with a time in ISO 8601; infinite ones and " BC" stay as they are.
func appendMoment(dst, text []byte) []byte {
	day, rest, ok := bytes.Cut(text, []byte{' '})
	if !ok {
		return appendQuoted(dst, text)
	}
	dst = append(append(append(dst, '"'), day...), 'T')
	clock, era, _ := bytes.Cut(rest, []byte{' '})
	if utc, ok := bytes.CutSuffix(clock, []byte("+00")); ok {
		dst = append(append(dst, utc...), 'Z')
	} else {
		dst = append(dst, clock...)
	}
	if len(era) > 0 {
		dst = append(append(dst, ' '), era...)
	}
	return append(dst, '"')
}
