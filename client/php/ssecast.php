<?php
/*
 * ssecast.php - ssecast for PHP 7.4 and later, in one file: publish, tokens, presence, webhooks.
 * docs/php.md explains it.
 *
 *     require 'ssecast.php';
 *     $ssecast = \Ssecast\Client::http('https://example.org/sse', $token); // or Client::zeromq()
 *     $ssecast->publish('greeting', ['text' => 'hello'], ['to' => ['sessions' => [42]]]);
 *
 * It needs no extension but json and hash, which are part of PHP. HTTP goes through the curl
 * extension if it is loaded, else through a socket (https needs the extension openssl then). ZeroMQ
 * needs the extension zmq (Debian: php-zmq).
 *
 * Every error is an exception. BadValue: a value cannot be sent; nothing was sent. Failure: it was
 * tried and did not succeed.
 */

namespace Ssecast;

/**
 * A value that cannot be sent. The message names the value, what is wrong with it, and what is
 * accepted.
 */
class BadValue extends \InvalidArgumentException
{
}

/** A request without success. */
class Failure extends \RuntimeException
{
    /**
     * The broker's or the worker's code (docs/protocol.md), or one of: unreachable, no_reply,
     * bad_reply, bad_signature.
     */
    public string $error;

    /** The status of HTTP; 0: there was no answer, or it was ZeroMQ. */
    public int $status;

    /** It may have been done all the same: the answer was lost. Publish again with the same id. */
    public bool $unknown;

    public function __construct(string $error, string $message, int $status = 0,
                                bool $unknown = false)
    {
        parent::__construct("$error: $message");
        $this->error = $error;
        $this->status = $status;
        $this->unknown = $unknown;
    }
}

/** One request, one reply. Implement it for another way to the broker, or for tests. */
interface Transport
{
    /** A command, as docs/protocol.md has it. Returns the reply, with ok. Throws Failure. */
    public function request(array $request): array;

    /** The members of a channel. Returns the reply. Throws Failure. */
    public function presence(array $query): array;
}

/** What a service does. */
final class Client
{
    /** Fields of an event beside its name and payload. */
    private const FIELDS = ['to', 'except', 'id', 'retry', 'key', 'remove', 'ttl', 'private'];

    private Transport $transport;
    private int $attempts;

    /**
     * attempts: how often a publish is tried while the outcome is unknown. It has an id, so it is
     * published once.
     */
    public function __construct(Transport $transport, int $attempts = 2)
    {
        if ($attempts < 1 || $attempts > 10)
            throw new BadValue("attempts is $attempts; 1 to 10 is accepted");
        $this->transport = $transport;
        $this->attempts = $attempts;
    }

    /**
     * Over HTTP. url: the mount point of the streams. token: one that may publish (docs/secure.md).
     * timeout: seconds for each attempt.
     */
    public static function http(string $url, string $token, float $timeout = 5.0): self
    {
        return new self(new Http($url, $token, $timeout));
    }

    /**
     * Over HTTP, with tokens that are made here and renewed. publish: true for everyone, or
     * ['channels' => ['news', 'room:*']].
     */
    public static function signed(string $url, Signer $signer, $publish = true,
                                  float $timeout = 5.0): self
    {
        return new self(new Http($url, fn(): string => $signer->sign(
            ['publish' => $publish], 2 * Http::TOKEN_SECONDS), $timeout));
    }

    /**
     * Over ZeroMQ. curve: ['server' => …, 'public' => …, 'secret' => …], keys of 40 characters, if
     * the broker has keys.
     */
    public static function zeromq(string $endpoint = 'tcp://127.0.0.1:5570', float $timeout = 5.0,
                                  array $curve = []): self
    {
        return new self(new ZeroMq($endpoint, $timeout, $curve));
    }

    /**
     * Publishes an event. event: its name, or null for `message`. data: anything that json_encode()
     * takes. more: fields of an event, such as ['to' => ['channels' => ['news']], 'key' =>
     * 'price:BTC', 'ttl' => 60]. Returns the reply: seq, online, maybe duplicate.
     */
    public function publish(?string $event, $data, array $more = []): array
    {
        return $this->send(self::event(['event' => $event, 'data' => $data] + $more, 'event'));
    }

    /** The same with plain text as the payload. */
    public function publishText(?string $event, string $text, array $more = []): array
    {
        return $this->send(self::event(['event' => $event, 'text' => $text] + $more, 'event'));
    }

    /**
     * Publishes all of a list of events, or none. Each is an array with event, data or text, and
     * the fields of `more`.
     */
    public function publishAll(array $events): array
    {
        $list = [];
        foreach (array_values($events) as $n => $event) {
            if (!is_array($event))
                throw new BadValue("events[$n] is no array");
            $list[] = self::event($event, "events[$n]");
        }
        if (!$list)
            throw new BadValue('events is empty; one event at least is accepted');
        return $this->send(['events' => $list]);
    }

    /**
     * The members of a channel with presence: members, more, maybe count. after: the last session
     * of the page before.
     */
    public function presence(string $channel, ?string $after = null, int $limit = 100): array
    {
        $query = ['channel' => self::name($channel, 'channel'), 'limit' => $limit];
        return $this->transport->presence($after === null ? $query
                                          : $query + ['after' => self::name($after, 'after')]);
    }

    /**
     * Ends streams (ZeroMQ only). who: ['sessions' => [42]], also channels and connections. block:
     * seconds for which these sessions get no stream; 0: they come back, and are asked who they
     * are. Returns the reply: closed.
     */
    public function shutdown(array $who, ?string $reason = null, int $block = 0): array
    {
        $request = ['op' => 'shutdown', 'block' => $block] + (array) self::target($who, 'who');
        return $this->transport->request($reason === null
                                         ? $request : $request + ['reason' => $reason]);
    }

    /** Whether a session has a stream (ZeroMQ only). */
    public function isOnline($session): bool
    {
        return $this->transport->request(
            ['op' => 'online', 'session' => self::name($session, 'session')])['online'] === true;
    }

    /** Tried again while the outcome is unknown. Each event has an id, so it is there once. */
    private function send(array $request): array
    {
        for ($attempt = 1; ; $attempt++) {
            try {
                return $this->transport->request(['op' => 'publish'] + $request);
            } catch (Failure $failure) {
                if (!$failure->unknown || $attempt >= $this->attempts)
                    throw $failure;
                usleep(100000); // a worker that is being restarted is back soon
            }
        }
    }

    /** An event that is fit to be sent. $where names it in errors. */
    private static function event(array $event, string $where): array
    {
        $payloads = array_intersect_key($event, ['data' => 1, 'text' => 1]);
        if (count($payloads) !== 1)
            throw new BadValue("$where needs data or text, and not both");
        $out = ['id' => isset($event['id']) ? self::name($event['id'], "$where.id")
                : bin2hex(random_bytes(16)) . '-php'] + $payloads;
        if (isset($payloads['text']) && !is_string($payloads['text']))
            throw new BadValue("$where.text is no text");
        foreach ($event as $field => $value) {
            if ($field === 'event' && $value !== null)
                $out[$field] = self::line($value, "$where.event");
            elseif ($field === 'to' || $field === 'except')
                $out[$field] = self::target($value, "$where.$field");
            elseif ($field === 'key')
                $out[$field] = self::name($value, "$where.key");
            elseif (!in_array($field, self::FIELDS, true)
                    && !in_array($field, ['event', 'data', 'text'], true))
                throw new BadValue("$where.$field is not a field; accepted are event, data, text, "
                                   . implode(', ', self::FIELDS));
            elseif ($field !== 'event' && !isset($out[$field]))
                $out[$field] = $value;
        }
        return $out;
    }

    /**
     * Names of sessions, channels and connections. An empty list stays one: it concerns nobody, and
     * not everybody.
     */
    private static function target($target, string $where): object
    {
        if (!is_array($target))
            throw new BadValue("$where is no array such as ['sessions' => ['anna']]");
        $out = [];
        foreach ($target as $kind => $names) {
            if (!in_array($kind, ['sessions', 'channels', 'connections'], true)
                || !is_array($names))
                throw new BadValue("$where has '$kind'; accepted are lists named sessions, "
                                   . 'channels and connections');
            $out[$kind] = [];
            foreach (array_values($names) as $n => $name)
                $out[$kind][] = self::name($name, "$where.{$kind}[$n]");
        }
        return (object) $out;
    }

    /** A name as text: a number is one too, because ids of users often are numbers. */
    private static function name($name, string $where): string
    {
        if (!is_int($name) && !is_string($name))
            throw new BadValue("$where is " . gettype($name)
                               . '; a text or an integer is accepted');
        $name = (string) $name;
        if ($name === '' || strlen($name) > 255 || preg_match('/[\x00-\x1f\x7f]/', $name)
            || !preg_match('//u', $name))
            throw new BadValue(
                "$where is " . self::shown($name)
                . '; accepted are 1 to 255 bytes of UTF-8 without control characters');
        return $name;
    }

    /** The name of an event. */
    private static function line($name, string $where): string
    {
        if (!is_string($name) || strlen($name) > 255 || preg_match('/[\r\n\x00]/', $name)
            || !preg_match('//u', $name))
            throw new BadValue("$where is " . self::shown($name)
                               . '; accepted are up to 255 bytes of UTF-8 without CR, LF and NUL');
        return $name;
    }

    private static function shown($value): string
    {
        return is_string($value)
            ? json_encode(substr($value, 0, 80),
                          JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES) : gettype($value);
    }

    /** @internal A request as JSON. */
    public static function json(array $request): string
    {
        try {
            return json_encode($request, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES
                                   | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION);
        } catch (\JsonException $e) {
            throw new BadValue('the data cannot become JSON: ' . $e->getMessage());
        }
    }

    /** @internal The reply of a broker (status 0) or of a worker. Throws what was refused. */
    public static function reply(string $text, int $status, bool $needsOk): array
    {
        $reply = json_decode($text, true, 64);
        if (is_array($reply) && is_string($reply['error'] ?? null)) {
            // `unavailable` and `busy`: nothing was done, or that is not certain. Another attempt
            // is right in both cases.
            $unknown = !empty($reply['unknown'])
                || in_array($reply['error'], ['unavailable', 'busy'], true);
            throw new Failure($reply['error'], is_string($reply['message'] ?? null)
                                  ? $reply['message'] : "status $status", $status, $unknown);
        }
        $good = is_array($reply) && ($status === 0 || $status === 200)
            && (!$needsOk || ($reply['ok'] ?? null) === true);
        if (!$good)
            throw new Failure('bad_reply',
                              "status $status, and no reply of ssecast: " . self::shown($text),
                              $status, $status <= 200 || $status >= 500);
        return $reply;
    }

    /**
     * @internal What $do returns. Warnings of PHP are kept in $warning, whatever handler of errors
     * the application has.
     */
    public static function quietly(callable $do, ?string &$warning = null)
    {
        set_error_handler(function (int $number, string $text) use (&$warning): bool {
            $warning = $text;
            return true;
        });
        try {
            return $do();
        } finally {
            restore_error_handler();
        }
    }
}

/**
 * Over HTTP, through the web server (docs/secure.md, "Publishing over HTTP"). Redirects are not
 * followed: the token stays here.
 */
final class Http implements Transport
{
    /** How long a token of a function is used. */
    public const TOKEN_SECONDS = 1800;

    private const REPLY_MOST = 8388608; // bytes

    private string $url;
    private $token;
    private string $current = '';
    private int $until = 0;
    private float $timeout;
    private bool $curl;
    private $handle = null;

    /**
     * token: a text, or a function that makes one. curl: false takes a socket although the
     * extension is loaded.
     */
    public function __construct(string $url, $token, float $timeout = 5.0, bool $curl = true)
    {
        $parts = preg_match('/[\x00-\x20\x7f]/', $url) ? false : parse_url($url);
        if (!$parts || !in_array($parts['scheme'] ?? '', ['http', 'https'], true)
            || isset($parts['user']) || isset($parts['query']) || isset($parts['fragment']))
            throw new BadValue('the URL of the streams is not one such as https://example.org/sse, '
                               . 'without user, query and fragment');
        if (!$token instanceof \Closure)
            self::check($token);
        if (!($timeout > 0 && $timeout <= 600))
            throw new BadValue('the timeout is not above 0 and up to 600 seconds');
        $this->url = rtrim($url, '/');
        $this->token = $token;
        $this->timeout = $timeout;
        $this->curl = $curl && extension_loaded('curl');
    }

    public function request(array $request): array
    {
        [$status, $body] = $this->exchange('POST', '/publish', Client::json($request));
        return Client::reply($body, $status, true);
    }

    public function presence(array $query): array
    {
        [$status, $body] = $this->exchange(
            'GET', '/presence?' . http_build_query($query, '', '&', PHP_QUERY_RFC3986), null);
        return Client::reply($body, $status, false);
    }

    private static function check($token): string
    {
        if (!is_string($token) || !preg_match('#^[A-Za-z0-9._~+/=-]+$#D', $token))
            throw new BadValue('the token has characters that no token has, for example a line '
                               . 'break at its end');
        return $token;
    }

    private function token(): string
    {
        if (!$this->token instanceof \Closure)
            return $this->token;
        if (time() >= $this->until) {
            $this->current = self::check(($this->token)());
            $this->until = time() + self::TOKEN_SECONDS;
        }
        return $this->current;
    }

    private function exchange(string $method, string $path, ?string $body): array
    {
        $headers = ["Authorization: Bearer {$this->token()}", 'Accept: application/json'];
        if ($body !== null)
            $headers[] = 'Content-Type: application/json';
        [$status, $text] = $this->curl ? $this->byCurl($method, $path, $headers, $body)
            : $this->byStream($method, $path, $headers, $body);
        if (strlen($text) > self::REPLY_MOST)
            throw new Failure('bad_reply', 'the reply has more than ' . self::REPLY_MOST . ' bytes',
                              $status, true);
        return [$status, $text];
    }

    private function byCurl(string $method, string $path, array $headers, ?string $body): array
    {
        $text = '';
        // kept: the next request finds the connection open
        $handle = $this->handle ?: $this->handle = curl_init();
        curl_reset($handle);
        curl_setopt_array($handle, [
            CURLOPT_URL => $this->url . $path,
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => array_merge($headers, ['Expect:']),
            CURLOPT_TIMEOUT_MS => (int) ($this->timeout * 1000),
            CURLOPT_CONNECTTIMEOUT_MS => (int) ($this->timeout * 1000),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_WRITEFUNCTION => function ($handle, string $piece) use (&$text): int {
                $text .= $piece;
                return strlen($text) > self::REPLY_MOST ? 0 : strlen($piece);
            },
        ]);
        if ($body !== null)
            curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
        $done = curl_exec($handle);
        $status = (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
        if ($done === false && strlen($text) <= self::REPLY_MOST)
            throw self::lost("{$this->url}$path: " . curl_error($handle), $status);
        return [$status, $text];
    }

    /**
     * HTTP/1.0 on a socket: PHP's own way to open URLs has a limit for each silence, but none for
     * the whole answer.
     */
    private function byStream(string $method, string $path, array $headers, ?string $body): array
    {
        $url = parse_url($this->url);
        $tls = $url['scheme'] === 'https';
        $authority = $url['host'] . (isset($url['port']) ? ":{$url['port']}" : '');
        if ($body !== null)
            $headers[] = 'Content-Length: ' . strlen($body);
        $lines = array_merge(["$method " . ($url['path'] ?? '') . "$path HTTP/1.0",
                              "Host: $authority", 'Connection: close'], $headers);
        $address = ($tls ? 'tls' : 'tcp') . "://{$url['host']}:"
            . ($url['port'] ?? ($tls ? 443 : 80));
        $context = stream_context_create(['ssl' => ['peer_name' => trim($url['host'], '[]')]]);

        $ends = microtime(true) + $this->timeout;
        $request = implode("\r\n", $lines) . "\r\n\r\n" . $body;
        $text = Client::quietly(function () use ($address, $context, $request, $ends): ?string {
            $stream = stream_socket_client($address, $number, $why, $this->timeout,
                                           STREAM_CLIENT_CONNECT, $context);
            return $stream ? self::talk($stream, $request, $ends) : null;
        }, $warning);
        $found = [];
        if ($text === null || !preg_match('#^HTTP/\S+ (\d{3}).*?\r\n\r\n#s', $text, $found))
            throw self::lost("{$this->url}$path: "
                                 . ($warning ?? "no whole reply within {$this->timeout} s"), 0);
        return [(int) $found[1], substr($text, strlen($found[0]))];
    }

    /** Sends, and reads up to the end of the answer. null: it did not end in time. */
    private static function talk($stream, string $request, float $ends): ?string
    {
        stream_set_blocking($stream, false);
        $text = '';
        for ($sent = 0; !feof($stream) && strlen($text) <= self::REPLY_MOST + 65536; ) {
            $left = $ends - microtime(true);
            if ($left <= 0)
                return null;
            $read = [$stream];
            $write = $sent < strlen($request) ? [$stream] : [];
            $except = [];
            stream_select($read, $write, $except, (int) $left, (int) (fmod($left, 1.0) * 1e6));
            if ($write) {
                $count = fwrite($stream, substr($request, $sent, 65536));
                // it takes no more: an answer may be there already
                $sent = $count === false ? strlen($request) : $sent + $count;
            }
            do
                $text .= $piece = (string) fread($stream, 65536);
            while ($piece !== '' && strlen($text) <= self::REPLY_MOST + 65536);
            $pattern = '#^HTTP/[^\n]*\n(?:[^\r\n]+\r\n)*?'
                . 'Content-Length: *(\d+)\r\n(?:[^\r\n]+\r\n)*\r\n#i';
            if (preg_match($pattern, $text, $head)
                && strlen($text) >= strlen($head[0]) + (int) $head[1])
                break;
        }
        return $text;
    }

    private static function lost(string $message, int $status): Failure
    {
        return new Failure('unreachable', preg_replace('/[\x00-\x1f\x7f]+/', ' ', $message),
                           $status, true);
    }
}

/** Over ZeroMQ, to the broker's endpoint `commands`. */
final class ZeroMq implements Transport
{
    private string $endpoint;
    private float $timeout;
    private array $curve;
    private $socket = null;

    public function __construct(string $endpoint, float $timeout = 5.0, array $curve = [])
    {
        if (!preg_match('#^(tcp|ipc)://[^\x00-\x20\x7f]+$#D', $endpoint))
            throw new BadValue('the endpoint is not one such as tcp://127.0.0.1:5570 or '
                               . 'ipc:///run/ssecast-broker/commands');
        if (!($timeout > 0 && $timeout <= 600))
            throw new BadValue('the timeout is not above 0 and up to 600 seconds');
        $keys = array_intersect_key($curve, ['server' => 1, 'public' => 1, 'secret' => 1]);
        if ($curve && (count($curve) !== 3 || count(preg_grep('/^[!-~]{40}$/D', $keys)) !== 3))
            throw new BadValue('curve needs server, public and secret: keys of 40 characters');
        if (!class_exists(\ZMQSocket::class))
            throw new Failure('unreachable', 'PHP has no extension zmq (Debian: php-zmq)');
        $this->endpoint = $endpoint;
        $this->timeout = $timeout;
        $this->curve = $curve;
    }

    public function request(array $request): array
    {
        $text = Client::json($request);
        try {
            $socket = $this->socket ?: $this->socket = $this->connect();
            $sent = $socket->send($text);
            $reply = $sent ? $socket->recv() : false;
        } catch (\ZMQException $e) {
            $this->socket = null;
            throw new Failure('unreachable', "{$this->endpoint}: " . $e->getMessage(), 0, true);
        }
        if (!is_string($reply)) {
            $this->socket = null; // it would wait for the old reply
            throw new Failure('no_reply', "no reply of {$this->endpoint} within {$this->timeout} s",
                              0, true);
        }
        return Client::reply($reply, 0, true);
    }

    public function presence(array $query): array
    {
        return $this->request(['op' => 'members'] + $query);
    }

    private function connect(): \ZMQSocket
    {
        $socket = new \ZMQSocket(new \ZMQContext(), \ZMQ::SOCKET_REQ);
        $milliseconds = (int) ($this->timeout * 1000);
        foreach ([\ZMQ::SOCKOPT_RCVTIMEO => $milliseconds, \ZMQ::SOCKOPT_SNDTIMEO => $milliseconds,
                  \ZMQ::SOCKOPT_LINGER => 0] as $option => $value)
            $socket->setSockOpt($option, $value);
        if ($this->curve) {
            $socket->setSockOpt(\ZMQ::SOCKOPT_CURVE_SERVERKEY, $this->curve['server']);
            $socket->setSockOpt(\ZMQ::SOCKOPT_CURVE_PUBLICKEY, $this->curve['public']);
            $socket->setSockOpt(\ZMQ::SOCKOPT_CURVE_SECRETKEY, $this->curve['secret']);
        }
        $socket->connect($this->endpoint);
        return $socket;
    }
}

/** Makes tokens (HS256) for streams and for publishers. docs/secure.md has the claims. */
final class Signer
{
    private string $secret;
    private ?string $kid;

    public function __construct(string $secret, ?string $kid = null)
    {
        if (strlen($secret) < 32)
            throw new BadValue('the secret has ' . strlen($secret)
                               . ' bytes; 32 at least are accepted');
        $this->secret = $secret;
        $this->kid = $kid;
    }

    /** The workers' jwt-secret-file: one secret as text, or a JWKS, whose last key signs. */
    public static function fromFile(string $file): self
    {
        $text = Client::quietly(fn() => file_get_contents($file));
        if ($text === false)
            throw new BadValue("the secret's file $file cannot be read");
        if (($text[0] ?? '') !== '{')
            return new self(rtrim($text, "\r\n"));
        $keys = json_decode($text, true)['keys'] ?? null;
        $key = is_array($keys) ? end($keys) : null;
        if (!is_array($key) || ($key['kty'] ?? '') !== 'oct' || !is_string($key['k'] ?? null))
            throw new BadValue("the secret's file $file is a JWKS without a secret (kty oct) "
                               . 'as its last key');
        return new self((string) base64_decode(strtr($key['k'], '-_', '+/')), $key['kid'] ?? null);
    }

    /**
     * A token with these claims that expires after so many seconds. sub: the session. channels,
     * publish: what its bearer may.
     */
    public function sign(array $claims, int $seconds = 3600): string
    {
        if ($seconds < 1 || $seconds > 31622400)
            throw new BadValue("the token would live for $seconds s; 1 to 31622400 is accepted");
        if (isset($claims['sub']) && is_int($claims['sub']))
            $claims['sub'] = (string) $claims['sub'];
        if (isset($claims['sub']) && (!is_string($claims['sub']) || $claims['sub'] === ''
                || strlen($claims['sub']) > 255
            || preg_match('/[\x00-\x1f\x7f]/', $claims['sub'])))
            throw new BadValue('the claim sub is not a text of 1 to 255 bytes without control '
                               . 'characters');
        if (isset($claims['channels']))
            $claims['channels'] = self::names($claims['channels'], 'channels');
        if (is_array($claims['publish'] ?? null))
            foreach ($claims['publish'] as $kind => $names)
                $claims['publish'][$kind] = self::names($names, "publish.$kind");
        $head = ['alg' => 'HS256', 'typ' => 'JWT'] + ($this->kid === null
                                                      ? [] : ['kid' => $this->kid]);
        $text = self::base64url(Client::json($head)) . '.'
            . self::base64url(Client::json(['exp' => time() + $seconds] + $claims));
        $token = $text . '.' . self::base64url(hash_hmac('sha256', $text, $this->secret, true));
        if (strlen($token) > 8192)
            throw new BadValue('the token has ' . strlen($token)
                               . ' bytes; 8192 at most are accepted');
        return $token;
    }

    /** Sets the cookie of the streams. Call it before any output. path: the mount point. */
    public function setCookie(array $claims, int $seconds = 3600, string $path = '/sse',
                              string $name = 'ssecast_token'): void
    {
        setcookie($name, $this->sign($claims, $seconds),
                  ['expires' => time() + $seconds] + self::cookieOptions($path));
    }

    /** Deletes it, at logout. */
    public static function clearCookie(string $path = '/sse', string $name = 'ssecast_token'): void
    {
        setcookie($name, '', ['expires' => 1] + self::cookieOptions($path));
    }

    private static function cookieOptions(string $path): array
    {
        return ['path' => $path, 'secure' => !empty($_SERVER['HTTPS'])
                    && $_SERVER['HTTPS'] !== 'off', 'httponly' => true, 'samesite' => 'Strict'];
    }

    private static function names($names, string $where): array
    {
        if (!is_array($names)
            || array_filter($names, fn($name) => !is_string($name) || $name === ''))
            throw new BadValue("the claim $where is no list of texts");
        return array_values($names);
    }

    private static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}

/** What `ssecast watch --webhook` posts. */
final class Webhook
{
    /**
     * The secret in the file of `ssecast watch --secret-file`: the first line without blanks at its
     * end.
     */
    public static function secretFromFile(string $file): string
    {
        $text = Client::quietly(fn() => file_get_contents($file));
        if ($text === false)
            throw new BadValue("the secret's file $file cannot be read");
        $secret = rtrim(explode("\n", $text, 2)[0], " \t\r");
        if ($secret === '')
            throw new BadValue("the first line of the secret's file $file is empty");
        return $secret;
    }

    /**
     * The messages of a request, after its signature was checked. body:
     * file_get_contents('php://input'). signature: the header X-Ssecast-Signature
     * ($_SERVER['HTTP_X_SSECAST_SIGNATURE']). Throws Failure bad_signature or bad_reply: answer 403
     * or 400.
     */
    public static function messages(string $body, ?string $signature, string $secret): array
    {
        if (strlen($secret) < 16)
            throw new BadValue('the secret has ' . strlen($secret)
                               . ' bytes; 16 at least are accepted');
        if (!hash_equals('sha256=' . hash_hmac('sha256', $body, $secret), (string) $signature))
            throw new Failure('bad_signature',
                              'X-Ssecast-Signature is missing or not that of the body', 403);
        $messages = json_decode($body, true)['messages'] ?? null;
        if (!is_array($messages))
            throw new Failure('bad_reply', 'the body has no messages', 400);
        foreach ($messages as $message)
            if (!is_array($message) || !is_int($message['number'] ?? null)
                || !is_string($message['type'] ?? null))
                throw new Failure('bad_reply', 'a message has no number or no type', 400);
        return $messages;
    }

    /** Only those after the number that was stored last: a message may come twice. */
    public static function after(array $messages, int $last): array
    {
        return array_values(array_filter($messages, fn($message) => $message['number'] > $last));
    }
}
