<?php
// A service for Symfony 5.4 and later: publishes, and gives the user of a request a token for the
// streams.
//
// Install: copy this file to src/Ssecast/ and ssecast.php (client/php; installed:
// /usr/share/php/ssecast/ssecast.php) to lib/, not to src/, where Symfony looks for a class of each
// file's name. Put the lines of services.yaml into your config/services.yaml, and set SSECAST_URL
// and SSECAST_SECRET_FILE in .env. In a controller:
//     public function ship(Order $order, Request $request, SsecastPublisher $ssecast): Response
//     {
//         $buyer = $order->getBuyer()->getUserIdentifier();
//         $ssecast->publish('shipped', ['order' => $order->getId()],
//                           ['to' => ['sessions' => [$buyer]]]);
//         $user = $this->getUser()->getUserIdentifier();
//         return $ssecast->authorize(new JsonResponse(), $user, ['news'], $request->isSecure());
//     }
// The worker: publish = yes, session-from = jwt, channels-from = jwt, jwt-secret-file = that file.

namespace App\Ssecast;

use Ssecast\Client;
use Ssecast\Signer;
use Symfony\Component\HttpFoundation\Cookie;
use Symfony\Component\HttpFoundation\Response;

if (!class_exists(Client::class)) // Composer may know it
    require_once dirname(__DIR__, 2) . '/lib/ssecast.php';

final class SsecastPublisher
{
    private Client $client;
    private Signer $signer;
    private string $path;

    public function __construct(string $url, string $secretFile, string $path = '/sse',
                                float $timeout = 2.0)
    {
        $this->signer = Signer::fromFile($secretFile);
        $this->client = Client::signed($url, $this->signer, true, $timeout);
        $this->path = $path;
    }

    /** See docs/php.md. Throws Ssecast\Failure and Ssecast\BadValue. */
    public function publish(?string $event, $data, array $more = []): array
    {
        return $this->client->publish($event, $data, $more);
    }

    /** All of them, or none. */
    public function publishAll(array $events): array
    {
        return $this->client->publishAll($events);
    }

    /** Sets the cookie of the streams on a response: this user, and these channels. */
    public function authorize(Response $response, string $user, array $channels, bool $secure,
                              int $seconds = 3600): Response
    {
        $token = $this->signer->sign(['sub' => $user, 'channels' => $channels], $seconds);
        $response->headers->setCookie(
            new Cookie('ssecast_token', $token, time() + $seconds, $this->path, null, $secure, true,
                       false, 'strict'));
        return $response;
    }

    /** Deletes it, at logout. */
    public function forget(Response $response, bool $secure): Response
    {
        $response->headers->setCookie(
            new Cookie('ssecast_token', '', 1, $this->path, null, $secure, true, false, 'strict'));
        return $response;
    }
}
