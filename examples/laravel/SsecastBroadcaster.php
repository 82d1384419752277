<?php
// A broadcaster for Laravel 8 and later: broadcast(new OrderShipped($order)) reaches browsers
// through ssecast.
//
// Install:
// 1. Up to Laravel 10 uncomment App\Providers\BroadcastServiceProvider in config/app.php. From
//    Laravel 11 on `php artisan install:broadcasting` makes routes/channels.php; none of the
//        drivers
//    that it offers is needed. Both make the route /broadcasting/auth.
// 2. Copy this file and ssecast.php (client/php; installed: /usr/share/php/ssecast/ssecast.php) to
//    app/Broadcasting/, and put into the boot() of a service provider:
//     require_once app_path('Broadcasting/ssecast.php');
//     \App\Broadcasting\SsecastBroadcaster::register($this->app);
// 3. config/broadcasting.php, in 'connections':
//     'ssecast' => [
//         'driver' => 'ssecast', 'url' => env('SSECAST_URL'),
//         'secret_file' => env('SSECAST_SECRET_FILE'),
//         'path' => '/sse', 'seconds' => 3600, 'timeout' => 2.0,
//     ],
// 4. .env (BROADCAST_CONNECTION from Laravel 11 on, BROADCAST_DRIVER before):
//     BROADCAST_CONNECTION=ssecast
//     SSECAST_URL=https://example.org/sse
//     SSECAST_SECRET_FILE=/etc/ssecast/jwt.secret
// 5. The worker: publish = yes, session-from = jwt,none, channels-from = query:channels,
//    jwt-secret-file = that file.
//
// A page asks the route /broadcasting/auth first, for all its private and presence channels: a POST
// with channel_name[]=private-orders.7. Laravel asks routes/channels.php. The answer sets a cookie
// with a token for these channels. Then the page opens
// new EventSource("/sse?channels=private-orders.7,news"). Other channels are public.
//
// A visitor without a token may ask for any channel. Events of private channels reach only streams
// whose token has the channel. With presence-channels = presence-* in the broker use
// session-from = jwt: who joins and leaves is seen by every reader of a channel.

namespace App\Broadcasting;

use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Ssecast\BadValue;
use Ssecast\Client;
use Ssecast\Failure;
use Ssecast\Signer;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

class SsecastBroadcaster extends Broadcaster
{
    private Client $client;
    private Signer $signer;
    private array $config;

    public function __construct(Client $client, Signer $signer, array $config = [])
    {
        $this->client = $client;
        $this->signer = $signer;
        $this->config = $config + ['path' => '/sse', 'seconds' => 3600];
    }

    /** Makes the driver `ssecast` known to Laravel. */
    public static function register($app): void
    {
        $broadcasting = $app->make(\Illuminate\Contracts\Broadcasting\Factory::class);
        $broadcasting->extend('ssecast', function ($app, array $config) {
            $signer = Signer::fromFile($config['secret_file']);
            return new self(Client::signed($config['url'], $signer, true,
                                           (float) ($config['timeout'] ?? 2.0)), $signer, $config);
        });
    }

    /**
     * The route /broadcasting/auth. The cookie is set when every channel that was asked for is
     * granted, and not before.
     */
    public function auth($request)
    {
        $names = $this->names($request);
        $members = [];
        foreach ($names as $name) {
            if (!$this->isGuarded($name))
                continue;
            // as routes/channels.php has it
            $plain = (string) preg_replace('/^(private-encrypted-|private-|presence-)/', '', $name);
            if (!$this->retrieveUser($request, $plain))
                throw new AccessDeniedHttpException();
            // throws if the user may not
            $members[$name] = $this->verifyUserCanAccessChannel($request, $plain);
        }

        $user = $request->user();
        $claims = ['channels' => $names]
            + ($user ? ['sub' => (string) $user->getAuthIdentifier()] : []);
        $this->sendCookie($claims, (int) $this->config['seconds']);
        return ['channels' => $names, 'members' => (object) $members,
                'expires' => time() + (int) $this->config['seconds']];
    }

    /**
     * What routes/channels.php answered for one channel: true, or a member's data. auth() answers
     * once for all of them.
     */
    public function validAuthenticationResponse($request, $result)
    {
        return $result;
    }

    /**
     * Publishes. payload['socket'] is Laravel's toOthers(): the connection id of the page that
     * caused the event.
     */
    public function broadcast(array $channels, $event, array $payload = [])
    {
        $except = isset($payload['socket']) ? ['connections' => [$payload['socket']]] : [];
        unset($payload['socket']);
        $guarded = $public = $events = [];
        foreach ($channels as $channel)
            $this->isGuarded((string) $channel)
                ? $guarded[] = (string) $channel : $public[] = (string) $channel;

        $common = ['event' => $event, 'data' => (object) $payload];
        if ($public)
            $events[] = $common + ['to' => ['channels' => $public]]
                + ($except ? ['except' => $except] : []);
        if ($guarded) { // a reader of both gets it once
            $except += $public ? ['channels' => $public] : [];
            $events[] = $common + ['to' => ['channels' => $guarded], 'private' => true]
                + ($except ? ['except' => $except] : []);
        }
        try {
            if ($events)
                $this->client->publishAll($events);
        } catch (Failure | BadValue $e) {
            throw new BroadcastException($e->getMessage(), 0, $e);
        }
    }

    /** Laravel would encrypt a cookie of its own. With Octane override this method. */
    protected function sendCookie(array $claims, int $seconds): void
    {
        $this->signer->setCookie($claims, $seconds, $this->config['path']);
    }

    /**
     * The channels of the request. A * in a token would be every channel, and a comma two of them.
     */
    private function names($request): array
    {
        $names = array_values((array) $request->input('channel_name'));
        foreach ($names as $name)
            if (!is_string($name) || $name === '' || strpbrk($name, '*,') !== false)
                throw new AccessDeniedHttpException();
        return array_values(array_unique($names));
    }

    private function isGuarded(string $name): bool
    {
        return strncmp($name, 'private-', 8) === 0 || strncmp($name, 'presence-', 9) === 0;
    }
}
