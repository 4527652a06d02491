// Package server gets, starts and stops the real servers that tests, the demo and the
// benchmark run against: MySQL 9.7, MariaDB 10.11, PostgreSQL 15 and Apache Kafka 4.3 (one
// broker or three). It needs neither root nor Docker.
//
// # Tests
//
// A test asks for what it needs and gets a URL:
//
//	url := server.MySQL(t)        // mysql://root@127.0.0.1:21004/t_5f0c…: a fresh database, dropped after the test
//	url := server.MariaDB(t)      // the same on MariaDB
//	url := server.Postgres(t)     // postgres://postgres@127.0.0.1:21007/t_91ab…; package lab/erp gives one with the ERP's tables
//	brokers := server.Kafka(t)    // ["127.0.0.1:21009"]: make topics of your own, delete them after
//	private := server.PrivateMySQL(t, nil) // a *Server of this test alone: kill it, reset it, stop it
//
// The first four are shared: nobody may kill, reset or reconfigure them. They are the servers
// named by SPOLA_TEST_MYSQL, SPOLA_TEST_MARIADB, SPOLA_TEST_POSTGRES and SPOLA_TEST_KAFKA
// where those are set (`make test` sets them), else one of each that lives as long as the
// test binary. Where a server cannot be had, the test is skipped with the reason, which also
// goes to the file named by SPOLA_SKIPS; with CI=true that is a failure instead.
//
// # Everything else
//
// [Open] a [Lab], ask it for servers, [Lab.Close] it. A Lab stops what it started and nothing
// else; servers also end when their process's owner dies, however it dies.
//
// # Where things are
//
// An installed server is used if its --version gives the product and the major version.
// Otherwise Debian's packages (or, for Kafka, its Maven artifacts) are unpacked into a cache:
// SPOLA_CACHE, or /var/cache/spola for root, or spola in the user's cache directory. Processes
// share it under file locks. Data lies in a directory of its own under /var/tmp (a disk, where
// /tmp may be memory), which Close removes; what a killed process left there, the next Open
// removes.
//
// PostgreSQL and MySQL refuse to run as root. Started by root, servers, downloads and
// everything else here run as the user nobody, who owns the cache and the data: initdb wants a
// user that has a name, and every Linux has that one.
package server
