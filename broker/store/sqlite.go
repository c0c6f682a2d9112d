package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// Primary result codes of SQLite that the store tells apart (sqlite.org/rescode.html).
const (
	codeError   = 1
	codeBusy    = 5
	codeIO      = 10
	codeCorrupt = 11
	codeFull    = 13
	codeNotADB  = 26
)

// code is the primary result code of an error of SQLite, 0 for any other.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// A database is one connection to SQLite, used through the driver itself: there is nothing to pool, a statement stays
// prepared on the connection that it belongs to, and no goroutine stands behind it. Its calls take no context on purpose:
// what has begun is not called off, so that its outcome is known.
type database struct{ conn driver.Conn }

// connect opens a file, or a new database in memory if path is empty. It does not look into the file yet.
func connect(path, vfs string) (*database, error) {
	name := ":memory:"
	if path != "" {
		u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
		if !strings.HasPrefix(u.Path, "/") {
			u.Path = "/" + u.Path
		}
		if vfs != "" {
			u.RawQuery = url.Values{"vfs": {vfs}}.Encode()
		}
		name = u.String()
	}
	conn, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return &database{conn}, nil
}

func (d *database) close() error { return d.conn.Close() }

func (d *database) prepare(query string) (*statement, error) {
	stmt, err := d.conn.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	return &statement{stmt: stmt}, nil
}

// exec runs one statement, or several without parameters.
func (d *database) exec(query string) error {
	st, err := d.prepare(query)
	if err != nil {
		return err
	}
	return errors.Join(st.exec(), st.close())
}

// query runs a statement and hands each row to a function. The row is good until the function returns.
func (d *database) query(query string, each func(*row) error) error {
	st, err := d.prepare(query)
	if err != nil {
		return err
	}
	return errors.Join(st.query(each), st.close())
}

// number runs a statement whose first row's first column is a number, and returns that.
func (d *database) number(query string) (n int64, err error) {
	err = d.query(query, func(r *row) error {
		n = r.int64(0)
		return r.err
	})
	return n, err
}

// A statement is prepared and used by one goroutine at a time.
type statement struct {
	stmt driver.Stmt
	args []driver.NamedValue
}

func (s *statement) close() error { return s.stmt.Close() }

// bind takes int64, string, []byte, bool and nil.
func (s *statement) bind(values []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range values {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

//nolint:contextcheck,nolintlint // See database; contextcheck takes the directive here, for all callers, unseen by nolintlint.
func (s *statement) exec(values ...driver.Value) error {
	stmt, ok := s.stmt.(driver.StmtExecContext)
	if !ok {
		return errors.ErrUnsupported
	}
	_, err := stmt.ExecContext(context.Background(), s.bind(values))
	clear(s.args)
	return err
}

//nolint:contextcheck,nolintlint // See database; contextcheck takes the directive here, for all callers, unseen by nolintlint.
func (s *statement) query(each func(*row) error) (err error) {
	stmt, ok := s.stmt.(driver.StmtQueryContext)
	if !ok {
		return errors.ErrUnsupported
	}
	rows, err := stmt.QueryContext(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := &row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// A row is read by column. What is not as the schema has it is remembered in err, and reads as zero.
type row struct {
	values []driver.Value
	err    error
}

func column[T any](r *row, i int) (value T) {
	value, ok := r.values[i].(T)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w: column %d is a %T instead of a %T", ErrCorrupt, i+1, r.values[i], value)
	}
	return value
}

func (r *row) text(i int) string { return column[string](r, i) }

func (r *row) int64(i int) int64 { return column[int64](r, i) }

func (r *row) bool(i int) bool { return column[int64](r, i) != 0 }

// bytes may be nil, as the driver makes it of none.
func (r *row) bytes(i int) []byte {
	if r.values[i] == nil {
		return nil
	}
	return column[[]byte](r, i)
}

// within reads a number from 0 to most.
func (r *row) within(i int, most int64) int64 {
	n := column[int64](r, i)
	if (n < 0 || n > most) && r.err == nil {
		r.err = fmt.Errorf("%w: column %d is %d instead of 0 to %d", ErrCorrupt, i+1, n, most)
	}
	return n
}

// decode reads a text by a function.
func (r *row) decode(i int, into func([]byte) error) {
	if err := into([]byte(column[string](r, i))); err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: column %d: %w", ErrCorrupt, i+1, err)
	}
}
