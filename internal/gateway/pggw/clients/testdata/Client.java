// The JDBC driver. It reads nothing from the environment itself.

import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import org.postgresql.util.PSQLException;

public class Client {
  static final String TOTAL = "SELECT id, total FROM orders WHERE id = ?";
  static final String SET = "UPDATE orders SET status = ? WHERE id = ?";
  static final String STATUS = "SELECT status FROM orders WHERE id = ?";

  static void say(String line) throws Exception {
    System.out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }

  static Connection connect() throws SQLException {
    Map<String, String> e = System.getenv();
    Properties p = new Properties();
    for (String name : List.of("user", "password", "options", "sslmode", "sslrootcert", "sslcert", "sslkey")) {
      String value = e.get("PG" + name.toUpperCase()); // without a password it reads PGPASSFILE
      if (value != null) p.setProperty(name, value.replace(".key", ".pk8"));
    }
    return DriverManager.getConnection("jdbc:postgresql://" + e.get("PGHOST") + ":" + e.get("PGPORT") + "/" + e.get("PGDATABASE"), p);
  }

  static String row(Connection c, String sql, Object... values) throws SQLException {
    try (PreparedStatement s = c.prepareStatement(sql)) {
      return row(s, values);
    }
  }

  static String row(PreparedStatement s, Object... values) throws SQLException {
    for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
    try (ResultSet r = s.executeQuery()) {
      r.next();
      StringJoiner out = new StringJoiner(" ");
      for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) {
        Object v = r.getObject(i);
        out.add(v instanceof byte[] ? HexFormat.of().formatHex((byte[]) v) : String.valueOf(v));
      }
      return out.toString();
    }
  }

  static void change(Connection c, String status, int id) throws SQLException {
    try (PreparedStatement s = c.prepareStatement(SET)) {
      s.setString(1, status);
      s.setInt(2, id);
      s.executeUpdate();
    }
  }

  public static void main(String[] args) throws Exception {
    try (Connection c = connect()) {
      tell(c);
    }
  }

  static void tell(Connection c) throws Exception {
    say("select " + row(c, TOTAL, 3));
    try (PreparedStatement s = c.prepareStatement(TOTAL)) {
      s.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(1);
      say("prepared " + row(s, 1).split(" ")[1] + " " + row(s, 2).split(" ")[1]);
    }

    c.setAutoCommit(false);
    change(c, "paid", 5);
    c.commit();
    c.setAutoCommit(true);
    say("transaction " + row(c, STATUS, 5));

    try {
      row(c, "SELECT card FROM customers");
    } catch (PSQLException e) {
      var m = e.getServerErrorMessage();
      say("denied " + e.getSQLState() + " " + m.getDetail() + (m.getHint() == null ? "" : ", hint"));
    }
    say("after " + row(c, "SELECT 7"));

    StringJoiner codes = new StringJoiner(" ");
    c.setAutoCommit(false);
    change(c, "lost", 6);
    for (String sql : new String[] {"SELECT card FROM customers", "SELECT 1"}) {
      try {
        row(c, sql);
      } catch (SQLException e) {
        codes.add(e.getSQLState());
      }
    }
    c.rollback();
    c.setAutoCommit(true);
    say("failed " + codes + " " + row(c, STATUS, 6));

    try (PreparedStatement s = c.prepareStatement(SET)) {
      for (int id = 10; id <= 12; id++) {
        s.setString(1, "batch");
        s.setInt(2, id);
        s.addBatch();
      }
      s.executeBatch();
    }
    say("batch " + row(c, "SELECT count(*) FROM orders WHERE status = 'batch'"));

    try (PreparedStatement s = c.prepareStatement("SELECT ?::bytea, ?::text, ?::bigint, ?::float8")) {
      s.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(1); // binary from the second execution on
      Object[] values = {new byte[] {0, (byte) 0xff, 0x5c, 0x27}, "it's \\ ü☃", -9007199254740993L, -0.125};
      String text = row(s, values), binary = row(s, values);
      say("values " + (text.equals(binary) ? text : text + " is not " + binary));
    }
  }
}
