import { expect, test } from 'vitest';
import { stringFormat } from './formats.ts';

/** Texts that fit, and texts that do not. */
const CASES: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
  bsonobjectid: [['507f1f77bcf86cd799439011'], ['507f1f77bcf86cd79943901', 'x07f1f77bcf86cd799439011']],
  uri: [
    [
      'http://example.com/a?b=%zz',
      '/path only',
      'mailto:a@b',
      'http://user:pw@host:80/',
      'http://[::1]:8080/x',
      '*',
      'http://host',
    ],
    [
      '',
      'relative',
      'http://a b/',
      'http://[::1',
      'http://host:port/',
      '/a%zz',
      ':x',
      'http://::1/',
      'a\nb:c',
    ],
  ],
  email: [
    [
      'a@b',
      'Some One <a.b@example.com>',
      '"quoted one"@example.com',
      'a@[127.0.0.1]',
      '(hi) a@b (there)',
      '"x, y" <a@b>',
    ],
    ['', 'a', 'a@', '@b', 'a@b@c', 'a@b, c@d', 'a..b@c', '<a@b', '(a@b', 'a b@c'],
  ],
  hostname: [
    ['localhost', 'example.com', '1a.example.com', 'a-b.example.org', 'ü.example', 'a-b'],
    ['', 'my-host', '-a', 'a.b', 'a..com', `${'a'.repeat(64)}.com`, 'a_b.com', 'a.b-c'],
  ],
  ipv4: [
    ['1.2.3.4', '01.002.3.4', '::ffff:1.2.3.4'],
    ['1.2.3', '1.2.3.256', '::1', 'a.b.c.d', '1.2.3.4%eth0'],
  ],
  ipv6: [
    ['::1', 'fe80::1', '::ffff:1.2.3.4'],
    ['1.2.3.4', '::ffff:01.2.3.4', ':::', 'fe80::1%eth0'],
  ],
  cidr: [
    ['10.0.0.0/8', '010.0.0.0/08', '::/0', 'fd00::/128'],
    ['10.0.0.0', '10.0.0.0/33', '::/129', '/8', '1.1.1.1/'],
  ],
  mac: [
    ['01:23:45:67:89:ab', '01-23-45-67-89-AB', '0123.4567.89ab', '01:23:45:67:89:ab:cd:ef'],
    ['01:23:45:67:89', '01:23-45:67:89:ab', '0123456789ab', '01:23:45:67:89:ab:cd'],
  ],
  uuid: [
    ['a8098c1a-f86e-11da-bd1a-00112444be1e', 'A8098C1AF86E11DABD1A00112444BE1E'],
    ['a8098c1a-f86e-11da-bd1a-00112444be1', ''],
  ],
  uuid3: [['bcd02e22-68f0-3046-a512-327cca9def8f'], ['bcd02e22-68f0-4046-a512-327cca9def8f']],
  uuid4: [['025b0d74-00a2-4048-bf57-227c5111bb34'], ['025b0d74-00a2-4048-7f57-227c5111bb34']],
  uuid5: [['886313e1-3b8a-5372-9b90-0c9aee199e5d'], ['886313e1-3b8a-4372-9b90-0c9aee199e5d']],
  isbn: [
    ['0321751043', '978-0321751041'],
    ['836217463', '0321751044'],
  ],
  isbn10: [['0321751043', '0-8044-2957-X'], ['978-0321751041']],
  isbn13: [['978 0321751041'], ['0321751043', '9780321751042']],
  creditcard: [
    ['4111-1111-1111-1111', '5555 5555 5555 4444'],
    ['4111-1111-1111-1112', '1234'],
  ],
  ssn: [
    ['111-11-1111', '111 11 1111'],
    ['111-11-111', '1111-11-111', '111111111'],
  ],
  hexcolor: [
    ['#FFFFFF', 'fff'],
    ['#ffff', 'ggg'],
  ],
  rgbcolor: [
    ['rgb(100,100,100)', 'rgb( 0 , 255 , 1 )'],
    ['rgb(300,0,0)', 'rgb(01,0,0)', 'rgb(1,2)', 'rgb(1,2,3'],
  ],
  byte: [
    ['ZWxpemFiZXRocG9zZXk=', 'YWJj', 'YQ=='],
    ['', 'a', 'a===', '====', 'YWJ-'],
  ],
  password: [['', 'x'], []],
  date: [
    ['2014-12-15', '2024-02-29', '0000-01-01'],
    ['2014-13-01', '2023-02-29', '2014-1-1', '2014-12-15T'],
  ],
  duration: [
    ['5s', '1h30m', '0', '22 ns', '3 weeks', '1.s', 'about 2 days'],
    ['', '5', 's', '5 parsecs', '99999999999999999999s'],
  ],
  'date-time': [
    ['2012-04-23T18:25:43.511Z', '2012-04-23t18:25:43z', '2012-04-23T18:25:43+02:00'],
    [
      '2012-04-23',
      '2012-04-23T18:25:43',
      '2012-04-23T24:25:43Z',
      '2012-04-23 18:25:43Z',
      '2012-02-30T18:25:43Z',
    ],
  ],
  'k8s-short-name': [['a-b'], ['A', 'a.b', 'a'.repeat(64)]],
  'k8s-long-name': [
    ['a.b', `${'a'.repeat(100)}.b`],
    ['A.b', 'a'.repeat(254)],
  ],
};

test.each(Object.entries(CASES))('%s', (name, [good, bad]) => {
  const fits = stringFormat(name);
  expect(good.filter((text) => !fits?.(text))).toEqual([]);
  expect(bad.filter((text) => fits?.(text))).toEqual([]);
});

test('what is no format of strings', () => {
  for (const name of ['', 'int32', 'double', 'email2']) expect(stringFormat(name)).toBeUndefined();
});

test.each(Object.keys(CASES))('%s answers hostile texts quickly', (name) => {
  const texts = [
    '1'.repeat(1e6),
    '1 '.repeat(5e5),
    'a.'.repeat(5e5),
    '('.repeat(1e6),
    'A='.repeat(5e5),
    '::'.repeat(5e5),
    '0'.repeat(1e6) + '.',
    'rgb(' + ' '.repeat(1e6) + 'x',
  ];
  for (const text of texts) {
    const start = performance.now();
    stringFormat(name)?.(text);
    expect(performance.now() - start).toBeLessThan(5_000); // what backtracks takes minutes
  }
});
