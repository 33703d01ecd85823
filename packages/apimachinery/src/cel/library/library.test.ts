import { describe, expect, test } from 'vitest';
import { evaluated } from '../testing/evaluate.ts';

function table(rows: readonly (readonly [expression: string, value: string])[]): void {
  test.each(rows)('%s → %s', (expression, value) => {
    expect(evaluated(expression)).toBe(value);
  });
}

describe('strings', () => {
  table([
    ['"tacocat".charAt(3)', '"o"'],
    ['"a🐱b".charAt(1)', '"🐱"'],
    ['"abc".charAt(3)', '""'],
    ['"abc".charAt(4)', 'error: index out of range: 4'],
    ['"abc".charAt(-1)', 'error: index out of range: -1'],
    ['"tacocat".indexOf("a")', '1'],
    ['"tacocat".indexOf("a", 3)', '5'],
    ['"🐱a".indexOf("a")', '1'],
    ['"abc".indexOf("x")', '-1'],
    ['"abc".indexOf("", 2)', '2'],
    ['"abc".indexOf("a", 30)', '-1'],
    ['"abc".indexOf("a", -1)', 'error: index out of range: -1'],
    ['"tacocat".lastIndexOf("a")', '5'],
    ['"tacocat".lastIndexOf("a", 4)', '1'],
    ['"abc".lastIndexOf("")', '3'],
    ['"a".lastIndexOf("abc")', '-1'],
    ['"TÄcO".lowerAscii()', '"tÄco"'],
    ['"täco".upperAscii()', '"TäCO"'],
    ['"12 days 12 hours".replace("{0}", "2")', '"12 days 12 hours"'],
    ['"aXbXc".replace("X", "-")', '"a-b-c"'],
    ['"aXbXc".replace("X", "-", 1)', '"a-bXc"'],
    ['"aXbXc".replace("X", "-", 0)', '"aXbXc"'],
    ['"ab".replace("", "_")', '"_a_b_"'],
    ['"ab".replace("", "_", 2)', '"_a_b"'],
    ['"a,b,c".split(",")', '["a", "b", "c"]'],
    ['"a,b,c".split(",", 2)', '["a", "b,c"]'],
    ['"a,b,c".split(",", 1)', '["a,b,c"]'],
    ['"a,b,c".split(",", 0)', '[]'],
    ['"a🐱".split("")', '["a", "🐱"]'],
    ['"tacocat".substring(4)', '"cat"'],
    ['"tacocat".substring(0, 4)', '"taco"'],
    ['"abc".substring(4)', 'error: index out of range: 4'],
    ['"abc".substring(2, 1)', 'error: invalid substring range. start: 2, end: 1'],
    ['" \\u3000a\\t ".trim()', '"a"'],
    ['"\\ufeffa".trim().size()', '2'],
    ['["x", "y"].join()', '"xy"'],
    ['["x", "y"].join("-")', '"x-y"'],
    ['[].join("-")', '""'],
    ['strings.quote("a\\n\\"b\\"")', '"\\"a\\\\n\\\\\\"b\\\\\\"\\""'],
    ['"abc".contains("b")', 'true'],
    ['"abc".startsWith("ab")', 'true'],
    ['"abc".endsWith("bc")', 'true'],
    ['"abc".matches("^[a-c]+$")', 'true'],
    ['matches("abc", "b")', 'true'],
    ['["("].all(p, "a".matches(p))', 'error: error parsing regexp: missing closing ): `(`'],
    ['"a".matches("(?=a)")', 'issue: invalid matches argument'],
    ['"abc".reverse()', "issue: found no matching overload for 'reverse' applied to 'string.()'"],
  ]);
});

describe('format', () => {
  table(
    [
      ['"%s and %s".format(["a", "b"])', '"a and b"'],
      ['"%%%s%%".format(["x"])', '"%x%"'],
      ['"%d %d".format([1, 2u])', '"1 2"'],
      ['"%.2f".format([3.14159])', '"3.14"'],
      ['"%f".format([1234567.5])', '"1,234,567.500000"'],
      ['"%.0f %.0f %.0f".format([0.5, 1.5, 2.5])', '"0 2 2"'],
      ['"%f".format(["NaN"])', '"NaN"'],
      ['"%f".format(["-Infinity"])', '"-∞"'],
      ['"%e".format([1052.032911275])', '"1.052033×10⁰³"'],
      ['"%.1e".format([0.00012])', '"1.2×10⁻⁰⁴"'],
      ['"%b %b %b".format([5, -5, true])', '"101 -101 1"'],
      ['"%o".format([11])', '"13"'],
      ['"%x %X".format([30, 30])', '"1e 1E"'],
      ['"%x".format(["Hello"])', '"48656c6c6f"'],
      ['"%s".format([[1, 2]])', '"[1, 2]"'],
      [
        '"%s".format([["a", 3.14, null, timestamp("2023-02-03T23:31:20Z")]])',
        '"[\\"a\\", 3.140000, null, timestamp(\\"2023-02-03T23:31:20Z\\")]"',
      ],
      [
        '"%s".format([{"b": duration("2h"), "a": b"xyz"}])',
        '"{\\"a\\":b\\"xyz\\", \\"b\\":duration(\\"7200s\\")}"',
      ],
      ['"%s".format([2.71])', '"2.71"'],
      ['"%s".format([type(1)])', '"int"'],
      ['"%s".format([null])', '"null"'],
      ['["%d"].map(f, f.format(["x"]))', '["error"]'],
      ['["%a"].map(f, f.format([1]))', '["error"]'],
    ].map(([expression, value]) =>
      value === '["error"]'
        ? ([
            expression as string,
            expression?.includes('%a') === true
              ? 'error: could not parse formatting clause: unrecognized formatting clause "a"'
              : 'error: error during formatting: decimal clause can only be used on integers, was given string',
          ] as const)
        : ([expression as string, value as string] as const),
    ),
  );
});

describe('lists', () => {
  table([
    ['[1, 2, 2].isSorted()', 'true'],
    ['["b", "a"].isSorted()', 'false'],
    ['[1, 2].sum()', '3'],
    ['[1.5, 2.0].sum()', '3.5'],
    ['[duration("1s"), duration("1m")].sum()', 'duration(61s)'],
    ['[].sum() == 0', 'true'],
    ['[9223372036854775807, 1].sum()', 'error: integer overflow'],
    ['[3, 1].min()', '1'],
    ['["a", "b"].max()', '"b"'],
    ['[[1]].map(l, l.filter(x, x > 1).min())', 'error: min called on empty list'],
    ['[1, 2, 1].indexOf(1)', '0'],
    ['[1, 2, 1].lastIndexOf(1)', '2'],
    ['[1].indexOf(3)', '-1'],
    ['[1, 2, 3].slice(1, 3)', '[2, 3]'],
    ['[1].slice(0, 2)', 'error: cannot slice(0, 2), list is length 1'],
    ['[1].slice(-1, 0)', 'error: cannot slice(-1, 0), negative indexes not supported'],
    ['[1, 2].slice(2, 1)', 'error: cannot slice(2, 1), start index must be less than or equal to end index'],
    ['[[1], [2, 3]].flatten()', '[1, 2, 3]'],
    ['[[1, [2]]].map(x, dyn(x)).flatten(2)', "issue: expected type 'int' but found 'list(int)'"],
    ['[[[1]], [[2]]].flatten(2)', '[1, 2]'],
    ['[[1]].flatten(-1)', 'error: level must be non-negative'],
    ['[3, 1, 2].sort()', '[1, 2, 3]'],
    ['["b", "a"].sort()', '["a", "b"]'],
    ['["abc", "b"].sortBy(x, x.size())', '["b", "abc"]'],
    ['lists.range(3)', '[0, 1, 2]'],
    ['lists.range(3) + [9]', '[0, 1, 2, 9]'],
    ['[1, 2].reverse()', '[2, 1]'],
    ['[1, 2, 1].distinct()', '[1, 2]'],
    ['sets.contains([1, 2], [2])', 'true'],
    ['sets.contains([1], [2])', 'false'],
    ['sets.equivalent([1, 2], [2, 1, 1])', 'true'],
    ['sets.intersects([1, 2], [2, 3])', 'true'],
    ['sets.intersects([1], [])', 'false'],
  ]);
});

describe('regular expressions', () => {
  table([
    ['"abc 123".find("[0-9]+")', '"123"'],
    ['"abc".find("[0-9]+")', '""'],
    ['"a1 b2".findAll("[a-z][0-9]")', '["a1", "b2"]'],
    ['"a1 b2".findAll("[a-z][0-9]", 1)', '["a1"]'],
    ['"abc".findAll("x")', '[]'],
    ['["("].map(p, "a".find(p))', 'error: Illegal regex: error parsing regexp: missing closing ): `(`'],
    ['"😀x".find("\\\\p{So}")', '"😀"'],
  ]);
});

describe('quantities', () => {
  table([
    ['quantity("1.5Gi")', '1536Mi'],
    [
      'quantity("x")',
      "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    ['isQuantity("100m")', 'true'],
    ['isQuantity("100x")', 'false'],
    ['quantity("1k") == quantity("1000")', 'true'],
    ['quantity("1Ki").isGreaterThan(quantity("1k"))', 'true'],
    ['quantity("1").isLessThan(quantity("2"))', 'true'],
    ['quantity("200M").compareTo(quantity("0.2G"))', '0'],
    ['quantity("50k").add(quantity("20")).isInteger()', 'true'],
    ['quantity("50k").add(20).asInteger()', '50020'],
    ['quantity("50k").sub(20) == quantity("49980")', 'true'],
    ['quantity("1.5").isInteger()', 'false'],
    ['quantity("1.5").asInteger()', 'error: cannot convert value to integer'],
    ['quantity("1.5").asApproximateFloat()', '1.5'],
    ['quantity("9999999999999999999999999999999999999G").isInteger()', 'false'],
    ['quantity("50Mi").asInteger()', '52428800'],
    ['type(quantity("1")) == type(quantity("2"))', 'true'],
    ['sign(quantity("-1"))', '-1'],
    [
      'quantity("1").sign()',
      "issue: found no matching overload for 'sign' applied to 'kubernetes.Quantity.()'",
    ],
  ]);
});

describe('addresses', () => {
  table([
    ['ip("127.0.0.1").family()', '4'],
    ['ip("::1").isLoopback()', 'true'],
    ['ip("2001:DB8::0:1")', '2001:db8::1'],
    ['string(ip("2001:db8:0:0:1:0:0:1"))', '"2001:db8::1:0:0:1"'],
    ['ip.isCanonical("2001:DB8::1")', 'false'],
    ['ip.isCanonical("127.0.0.1")', 'true'],
    ['isIP("1.2.3.4")', 'true'],
    ['isIP("1.2.3")', 'false'],
    ['isIP("01.2.3.4")', 'false'],
    ['isIP("fe80::1%eth0")', 'false'],
    ['isIP("::ffff:1.2.3.4")', 'false'],
    ['isIP("64:ff9b::1.2.3.4")', 'true'],
    [
      'ip("1.2.3.256")',
      'error: IP Address "1.2.3.256" parse error during conversion from string: ParseAddr("1.2.3.256"): IPv4 field has value >255',
    ],
    [
      'ip("1:2")',
      'error: IP Address "1:2" parse error during conversion from string: ParseAddr("1:2"): address string too short',
    ],
    [
      'ip("a")',
      'error: IP Address "a" parse error during conversion from string: ParseAddr("a"): unable to parse IP',
    ],
    ['ip("0.0.0.0").isUnspecified()', 'true'],
    ['ip("224.0.0.1").isLinkLocalMulticast()', 'true'],
    ['ip("ff02::1").isLinkLocalMulticast()', 'true'],
    ['ip("169.254.1.1").isLinkLocalUnicast()', 'true'],
    ['ip("10.0.0.1").isGlobalUnicast()', 'true'],
    ['ip("255.255.255.255").isGlobalUnicast()', 'false'],
    ['ip("1.2.3.4") == ip("1.2.3.4")', 'true'],
    ['cidr("192.168.0.0/16").containsIP("192.168.1.1")', 'true'],
    ['cidr("192.168.0.0/16").containsIP(ip("192.169.0.1"))', 'false'],
    ['cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16")', 'true'],
    ['cidr("10.1.0.0/16").containsCIDR(cidr("10.0.0.0/8"))', 'false'],
    ['cidr("10.1.2.3/8").masked()', '10.0.0.0/8'],
    ['cidr("10.1.2.3/8").ip()', '10.1.2.3'],
    ['cidr("::/0").prefixLength()', '0'],
    ['isCIDR("10.0.0.0/33")', 'false'],
    ['isCIDR("10.0.0.0")', 'false'],
    ['string(cidr("10.0.0.0/8"))', '"10.0.0.0/8"'],
    ['net.IP == type(ip("::"))', 'true'],
  ]);
});

describe('urls', () => {
  const url = 'url("https://user@Example.com:80/a%20b?k=v&k=w&x=%31#f")';
  table([
    [`${url}.getScheme()`, '"https"'],
    [`${url}.getHost()`, '"Example.com:80"'],
    [`${url}.getHostname()`, '"Example.com"'],
    [`${url}.getPort()`, '"80"'],
    [`${url}.getEscapedPath()`, '"/a%20b"'],
    ['url("https://a/b c").getEscapedPath()', '"/b%20c"'],
    ['url("https://[::1]:8080/").getHostname()', '"::1"'],
    ['url("https://[::1]:8080/").getPort()', '"8080"'],
    ['url("https://[::1]/").getPort()', '""'],
    ['url("https://a/?k=v&k=w&y").getQuery()', '{"k": ["v", "w"], "y": [""]}'],
    ['url("/path").getHost()', '""'],
    ['isURL("https://a")', 'true'],
    ['isURL("a/b")', 'false'],
    ['isURL("")', 'false'],
    ['isURL("https://a:b/")', 'false'],
    ['isURL("https://a/%zz")', 'false'],
    ['url("a")', 'error: URL parse error during conversion from string: parse "a": invalid URI for request'],
    [
      'url("https://a b/")',
      'error: URL parse error during conversion from string: parse "https://a b/": invalid character " " in host name',
    ],
    ['url("https://a") == url("https://a")', 'true'],
  ]);
});

describe('named formats', () => {
  table([
    ['format.dns1123Label().validate("a-b").hasValue()', 'false'],
    ['format.dns1123Label().validate("A").value().size()', '1'],
    ['format.named("uuid").value().validate("123e4567-e89b-12d3-a456-426614174000")', 'none'],
    ['format.uuid().validate("x")', 'optional(["does not match the UUID format"])'],
    ['format.byte().validate("aGVsbG8=")', 'none'],
    ['format.byte().validate("?")', 'optional(["invalid base64"])'],
    ['format.date().validate("2021-02-30")', 'optional(["invalid date"])'],
    ['format.datetime().validate("2021-01-01T00:00:00Z")', 'none'],
    ['format.datetime().validate("2021-01-01")', 'optional(["invalid datetime"])'],
    ['format.uri().validate("https://a")', 'none'],
    ['format.dns1035LabelPrefix().validate("a-")', 'none'],
    ['format.qualifiedName().validate("a/b")', 'none'],
    ['format.labelValue().validate("a b").hasValue()', 'true'],
    ['format.named("nothing")', 'none'],
    ['format.uuid() == format.named("uuid").value()', 'true'],
  ]);
});

describe('semantic versions', () => {
  table([
    ['semver("1.2.3").major()', '1'],
    ['semver("1.2.3-rc.1+b").patch()', '3'],
    ['semver("1.2.3").isGreaterThan(semver("1.2.3-alpha"))', 'true'],
    ['semver("1.0.0-alpha.2").isLessThan(semver("1.0.0-alpha.10"))', 'true'],
    ['semver("1.0.0-1").compareTo(semver("1.0.0-a"))', '-1'],
    ['semver("1.0.0-a").compareTo(semver("1.0.0-a.b"))', '-1'],
    ['semver("1.0.0+a") == semver("1.0.0+b")', 'true'],
    ['semver("v1.2", true) == semver("1.2.0")', 'true'],
    ['semver("01.02.03", true).minor()', '2'],
    ['isSemver("1.2")', 'false'],
    ['isSemver("v1.2.3")', 'false'],
    ['isSemver("v1.2.3", true)', 'true'],
    ['semver("1.02.3")', 'error: Minor number must not contain leading zeroes "02"'],
    ['semver("a.0.0")', 'error: Invalid character(s) found in major number "a"'],
    ['semver("1.2")', 'error: No Major.Minor.Patch elements found'],
    ['semver("")', 'error: Version string empty'],
    ['semver("1.2-a", true)', 'error: short version cannot contain PreRelease/Build meta data'],
    ['semver("1.0.0-01")', 'error: Numeric PreRelease version must not contain leading zeroes "01"'],
  ]);
});
