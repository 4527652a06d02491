package mysql

import (
	"slices"
	"strings"
)

// The text of a statement in the binary log is only searched: for what takes rows away without
// row events, and for changes of captured tables. It is never parsed into a schema, for names
// and types come with the rows.

// verdict is what a statement means to the captured tables.
type verdict struct {
	kind   verdictKind
	tables []string // captured tables concerned
	why    string
}

type verdictKind uint8

const (
	harmless verdictKind = iota
	altered              // the tables' shape or content may have changed: their snapshot is due
	fatal                // rows are gone that no event names, or rows were changed by statement
)

// token is a word, a quoted name or a sign of a statement.
type token struct {
	text   string // of a word in upper case; of a quoted name as it is
	name   string // the name it would be
	quoted bool
}

// tokens cuts a statement, without comments; what the servers execute of comments stays in.
func tokens(sql string) []token {
	var out []token
	for i := 0; i < len(sql); {
		b := sql[i]
		switch {
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			i++
		case b == '#', strings.HasPrefix(sql[i:], "-- "), strings.HasPrefix(sql[i:], "--\n"), strings.HasPrefix(sql[i:], "--\t"):
			end := strings.IndexByte(sql[i:], '\n')
			if end < 0 {
				return out
			}
			i += end
		case strings.HasPrefix(sql[i:], "/*!"), strings.HasPrefix(sql[i:], "/*M!"):
			i = executable(sql, i)
		case strings.HasPrefix(sql[i:], "/*"):
			end := strings.Index(sql[i+2:], "*/")
			if end < 0 {
				return out
			}
			i += end + 4
		case strings.HasPrefix(sql[i:], "*/"):
			i += 2
		case b == '`' || b == '"' || b == '\'':
			name, next := quotedName(sql, i)
			out = append(out, token{text: string(b), name: name, quoted: true})
			i = next
		case isWord(b):
			end := i
			for end < len(sql) && isWord(sql[end]) {
				end++
			}
			out = append(out, token{text: strings.ToUpper(sql[i:end]), name: sql[i:end]})
			i = end
		default:
			out = append(out, token{text: string(b)})
			i++
		}
	}
	return out
}

// executable passes over the opening of a comment that the servers execute, version included.
func executable(sql string, i int) int {
	i += strings.IndexByte(sql[i:], '!') + 1
	for i < len(sql) && sql[i] >= '0' && sql[i] <= '9' {
		i++
	}
	return i
}

func isWord(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// quotedName reads a quoted name or string; a doubled quote stands for itself.
func quotedName(sql string, i int) (name string, next int) {
	quote := sql[i]
	var out strings.Builder
	for i++; i < len(sql); i++ {
		switch {
		case sql[i] == '\\' && quote != '`' && i+1 < len(sql):
			i++
			out.WriteByte(sql[i])
		case sql[i] != quote:
			out.WriteByte(sql[i])
		case i+1 < len(sql) && sql[i+1] == quote:
			i++
			out.WriteByte(quote)
		default:
			return out.String(), i + 1
		}
	}
	return out.String(), i
}

// judge says what a statement means. current is the database it was run in, database the
// shop's, captured tells whether a table is a captured one.
func judge(sql, current, database string, captured func(string) bool) verdict {
	j := &judging{tokens: tokens(sql), current: current, database: database, captured: captured}
	if len(j.tokens) == 0 {
		return verdict{}
	}
	switch j.tokens[0].text {
	case "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "XA", "FLUSH",
		"GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "INSTALL", "UNINSTALL", "KILL":
		return verdict{}
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "WITH", "DO", "HANDLER":
		return j.changed()
	case "TRUNCATE":
		return j.named(fatal, "TRUNCATE")
	case "RENAME":
		return j.renamed()
	case "CREATE":
		return j.created()
	case "DROP":
		return j.dropped()
	case "ALTER":
		return j.altered()
	}
	return j.named(fatal, "a statement that is not known")
}

type judging struct {
	tokens   []token
	current  string
	database string
	captured func(string) bool
}

// has tells whether a word stands among the first n tokens; 0 means all.
func (j *judging) has(word string, n int) bool {
	list := j.tokens
	if n > 0 && n < len(list) {
		list = list[:n]
	}
	return slices.ContainsFunc(list, func(t token) bool { return !t.quoted && t.text == word })
}

// names returns the captured tables named anywhere in the statement.
func (j *judging) names() []string {
	var out []string
	for i, t := range j.tokens {
		if t.text == "'" || t.name == "" || !j.captured(t.name) || slices.Contains(out, t.name) {
			continue
		}
		if i >= 2 && j.tokens[i-1].text == "." {
			if j.tokens[i-2].name != j.database {
				continue
			}
		} else if j.current != j.database {
			continue
		}
		out = append(out, t.name)
	}
	return out
}

func (j *judging) named(kind verdictKind, why string) verdict {
	names := j.names()
	if len(names) == 0 {
		return verdict{}
	}
	return verdict{kind, names, why}
}

// changed judges rows that were changed by statement. A trigger or a view can carry such a
// change into a captured table without naming it, so that none in the shop's database passes,
// but the emptying of a MEMORY table after a restart of the server, which has its own form.
func (j *judging) changed() verdict {
	names := j.names()
	emptied := j.tokens[0].text == "DELETE" && !j.has("WHERE", 0) && len(j.tokens) <= 5
	if len(names) == 0 && (j.current != j.database || emptied) {
		return verdict{}
	}
	return verdict{fatal, names, "rows were changed by statement: " + j.tokens[0].text}
}

// renamed judges RENAME TABLE a TO b, c TO a: a captured table that another one takes the place
// of, as gh-ost and pt-online-schema-change do, is an altered one.
func (j *judging) renamed() verdict {
	if !j.has("TABLE", 2) && !j.has("TABLES", 2) {
		return verdict{}
	}
	names := j.names()
	if len(names) == 0 {
		return verdict{}
	}
	arrived := map[string]bool{}
	for i, t := range j.tokens {
		if t.text == "TO" && !t.quoted && i+1 < len(j.tokens) {
			arrived[j.nameAt(i+1)] = true
		}
	}
	for _, name := range names {
		if !arrived[name] {
			return verdict{fatal, []string{name}, "RENAME TABLE"}
		}
	}
	return verdict{altered, names, "RENAME TABLE"}
}

// nameAt is the table named at a token, its database passed over.
func (j *judging) nameAt(i int) string {
	if i+2 < len(j.tokens) && j.tokens[i+1].text == "." {
		return j.tokens[i+2].name
	}
	return j.tokens[i].name
}

func (j *judging) created() verdict {
	if j.has("TEMPORARY", 5) || !j.has("TABLE", 5) {
		return verdict{} // an index, a view, a trigger, a user …
	}
	// The table created stands before the first parenthesis; others named are what it refers to.
	if j.has("REPLACE", 4) {
		for i, t := range j.tokens {
			if t.text == "(" || t.text == "SELECT" || t.text == "LIKE" || t.text == "AS" {
				j.tokens = j.tokens[:i]
				break
			}
		}
		return j.named(fatal, "CREATE OR REPLACE TABLE")
	}
	return verdict{}
}

func (j *judging) dropped() verdict {
	switch {
	case j.has("TEMPORARY", 2):
		return verdict{}
	case j.has("DATABASE", 2), j.has("SCHEMA", 2):
		if slices.ContainsFunc(j.tokens, func(t token) bool { return t.name == j.database }) {
			return verdict{fatal, nil, "DROP DATABASE"}
		}
		return verdict{}
	case j.has("TABLE", 2), j.has("TABLES", 2):
		return j.named(fatal, "DROP TABLE")
	}
	return verdict{}
}

func (j *judging) altered() verdict {
	if !j.has("TABLE", 5) {
		return verdict{}
	}
	// Only the table altered; tables named in foreign keys are not.
	at := slices.IndexFunc(j.tokens, func(t token) bool { return t.text == "TABLE" && !t.quoted })
	rest := j.tokens[at+1:]
	for len(rest) > 0 && !rest[0].quoted && (rest[0].text == "IF" || rest[0].text == "EXISTS") {
		rest = rest[1:]
	}
	all := j.tokens
	j.tokens = rest[:min(3, len(rest))]
	if len(rest) < 3 || rest[1].text != "." {
		j.tokens = rest[:min(1, len(rest))]
	}
	names := j.names()
	j.tokens = all
	if len(names) == 0 {
		return verdict{}
	}
	if why := removes(rest); why != "" {
		return verdict{fatal, names, "ALTER TABLE … " + why}
	}
	return verdict{altered, names, "ALTER TABLE"}
}

// removes tells which part of an ALTER TABLE takes the table or rows of it away.
func removes(list []token) string {
	for i, t := range list {
		if t.quoted || i+1 >= len(list) {
			continue
		}
		next := list[i+1].text
		switch t.text {
		case "RENAME":
			if next != "COLUMN" && next != "INDEX" && next != "KEY" {
				return "RENAME"
			}
		case "TRUNCATE", "DROP", "EXCHANGE", "COALESCE":
			if next == "PARTITION" && t.text != "COALESCE" {
				return t.text + " PARTITION"
			}
		case "DISCARD", "IMPORT":
			if next == "TABLESPACE" || next == "PARTITION" {
				return t.text + " " + next
			}
		}
	}
	return ""
}
