package mysql

import "testing"

// What a server has committed beyond what was read is counted by transaction, of each server and tag or of each domain.
func TestUnreadTransactions(t *testing.T) {
	const a, b = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
	for _, c := range []struct {
		flavor         flavor
		executed, read string
		one            string // that was read besides
		want           int64
	}{
		{mysqlFlavor, a + ":1-10", a + ":1-10", "", 0},
		{mysqlFlavor, a + ":1-10", a + ":1-6", a + ":7", 3},
		{mysqlFlavor, a + ":1-10:15-20, " + b + ":1-3", a + ":1-4:16", "", 14},
		{mysqlFlavor, a + ":1-5:nightly:1-4", a + ":1-5", "", 4},
		{mysqlFlavor, a + ":1-5", a + ":1-9", "", 0},
		{mysqlFlavor, a + ":1-5", "", "", 5},
		{mariadbFlavor, "0-1-100", "0-1-90", "0-1-91", 9},
		{mariadbFlavor, "0-2-100,1-1-7", "0-1-98,1-1-9", "", 2},
		{mariadbFlavor, "0-1-100,5-1-3", "0-1-100", "", 3},
	} {
		all, err := parseExecuted(c.flavor, c.executed)
		if err != nil {
			t.Fatal(err)
		}
		done, err := parseExecuted(c.flavor, c.read)
		if err == nil && c.one != "" {
			err = done.add(c.one)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := all.beyond(done); n != c.want {
			t.Errorf("%s behind %s and %s: %d transactions, want %d", c.executed, c.read, c.one, n, c.want)
		}
	}
}
